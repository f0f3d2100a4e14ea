"""The bench at tiny sizes: every measure runs, the textbook plays the same game, and no time is asserted."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from bench import games, growth, judging, pipeline, reading, textbook, timing
from bench.__main__ import main, measures, said

from anonrep.data import ferg_reader
from anonrep.data.pendigits import render
from anonrep.data.synthetic import ferg as synthetic_ferg
from anonrep.data.synthetic.pendigits import synthetic_pendigits
from anonrep.data.unipen import parse_unipen
from anonrep.game import GameConfig, Optimisers, Outcome, play, pretrain_autoencoder, update
from anonrep.pipeline.parameters import read
from anonrep.utils.convolutions import FromOneChannel, ToOneChannel
from anonrep.utils.files import read_json, write_json
from anonrep.utils.images import to_bytes, to_tensor
from anonrep.utils.project import root

EPOCHS = {"pixel_epochs": 1, "fidelity_epochs": 1, "private_epochs": 1, "warm_up_epochs": 1}
PARAMS = read(root() / "params.yaml")
STABILISED = GameConfig(**PARAMS["games"]["pendigits-stabilised"]["config"])
TINY = replace(STABILISED, hidden=8, channels=4, adversary_channels=4, batch=16, **EPOCHS)
BOTH = pytest.mark.parametrize("variant", ["faithful", "stabilised"])
MEASURES = {
    "training": lambda: games.training(TINY, 2),
    "step": lambda: games.training_step(TINY, 2),
    "rate": lambda: games.floating_point_rate(TINY, 2, 64),
    "sweep": lambda: games.sweep(TINY, [0, 1], 2, [0, 1]),
    "rendering": lambda: reading.rendering(30),
    "ferg": lambda: reading.ferg(42),
    "assessment": lambda: judging.assessment(300, 1, 5),
    "no-op": lambda: pipeline.no_op("smoke"),
    "stages": lambda: pipeline.side_by_side("smoke", pipeline.hollow),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_gives_a_row(name):
    pairs = MEASURES[name]()
    row = timing.row(name, pairs, runs=1, warm_up=0, unit="GFLOP/s" if name == "rate" else "s")
    assert list(row) == ["name", "ratio", "ours", "other", "low", "high", "unit", "runs"]
    assert all(0 < row[key] < math.inf for key in ("ratio", "ours", "other", "low", "high"))


def test_the_command_line_knows_these_measures():
    assert set(measures(PARAMS)) == set(MEASURES)


def test_a_row_takes_medians_of_ratios_and_not_ratios_of_medians():
    def pairs():
        yield 99.0, 1.0  # thrown away
        yield from [(1.0, 2.0), (4.0, 12.0), (2.0, 9.0)]

    row = timing.row("x", pairs(), runs=3)
    assert (row["ratio"], row["low"], row["high"], row["ours"], row["other"]) == (3.0, 2.0, 4.5, 2.0, 9.0)
    assert timing.row("x", pairs(), runs=3, unit="GFLOP/s")["ratio"] == pytest.approx(1 / 3, abs=1e-4)


@BOTH
def test_a_textbook_step_is_the_same_step(variant, float32):
    """One step of the same players on the same batch: the same losses, the same weights afterwards."""
    config = replace(
        GameConfig(**PARAMS["games"][f"pendigits-{variant}"]["config"]), channels=4, adversary_channels=4, batch=16
    )
    data = games.digits(config.batch)
    mine = textbook.players_of(data, config)
    start, rival = copy.deepcopy(mine), textbook.plain(mine)
    x, z, p_z = to_tensor(data.images), torch.from_numpy(data.z), torch.from_numpy(data.p_z).float()
    game, optimisers = textbook.Game(rival, data, config), Optimisers.build(mine, config)
    for step, lam in enumerate([None, 2.0]):
        expected = update(mine, optimisers, x, z, p_z, lam=lam, config=config, step=step)
        seen = game.step(x.clone(), z, lam)
        assert seen["fool"] == pytest.approx(expected["fool"], rel=1e-4)
        assert seen["mse"] == pytest.approx(expected["mse"], rel=1e-4)
        assert seen["discriminator"] == pytest.approx(expected["discriminator"], rel=1e-4)
    for players in zip(mine, rival, start, strict=True):
        one, two, before = (torch.cat([w.flatten() for w in player.parameters()]) for player in players)
        # Not weight by weight: Adam makes a whole step of a gradient that is nothing but rounding.
        assert (one - two).norm() <= 0.05 * (one - before).norm()


@pytest.mark.slow
def test_the_textbook_learns_what_ours_learns():
    """From the same start, in whatever precision each trains in: a ratio of times is worth nothing otherwise."""
    config = replace(TINY, pixel_epochs=30, pixel_rate=0.005, private_epochs=15, channels=8)
    data = games.digits(160)
    rival = textbook.plain(textbook.players_of(data, config))
    mine, start = textbook.players_of(data, config), copy.deepcopy(rival.autoencoder)
    pixels = textbook.pretrain(rival.autoencoder, data, config, 0)
    assert pixels[-1] < 0.6 * pixels[0]
    autoencoder, history = textbook.play(rival, data, lam=0.0, epochs=config.private_epochs, config=config, seed=0)
    assert history[-1]["private"] < history[0]["private"]
    x = to_tensor(data.images)
    with torch.no_grad():
        theirs = float((autoencoder(x) - x).square().mean())
        assert theirs < 0.6 * (start(x) - x).square().mean()
    pretrain_autoencoder(mine.autoencoder, to_bytes(data.images), config, 0)
    outcome = play(mine, data, lam=0.0, epochs=config.private_epochs, config=config, seed=0)
    with torch.no_grad():
        ours = float((outcome.autoencoder(x) - x).square().mean())
    assert ours == pytest.approx(theirs, rel=0.3)
    assert outcome.history[-1]["private"] == pytest.approx(history[-1]["private"], rel=0.5)


def test_the_plain_players_have_stock_layers_alone():
    config = replace(TINY, **EPOCHS)
    data = games.digits(32)
    players = textbook.players_of(data, config)
    x = to_tensor(data.images)
    for player, plain in zip(players, textbook.plain(players), strict=True):
        assert not any(isinstance(layer, (FromOneChannel, ToOneChannel)) for layer in plain.modules())
        assert all(weight.is_contiguous() for weight in plain.parameters())
        torch.testing.assert_close(player(x), plain(x))
    assert type(textbook.plain(players).autoencoder.lower) is torch.nn.ConvTranspose2d
    assert type(textbook.plain(players).discriminator.layers[0]) is torch.nn.Conv2d


def test_the_plain_loops_draw_and_read_the_same_pictures(tmp_path):
    digits = parse_unipen(synthetic_pendigits(0, 2, 10))
    assert np.abs(render(digits).astype(float) - reading.drawn(digits, 20)).mean() < 12  # of 255; joints differ
    synthetic_ferg.write(tmp_path / "ferg", images=42)
    frames = ferg_reader.read(tmp_path / "ferg", 50)
    found, opened = frames.images, reading.opened(tmp_path / "ferg", 50)
    assert sorted(image.tobytes() for image in found) == sorted(image.tobytes() for image in opened)


@pytest.mark.slow
def test_the_memory_of_a_piece_of_work_is_its_own_whatever_was_held_before():
    held = np.ones(50_000_000)  # 400 MB, in this process
    (_, little), (_, much) = timing.cost(np.ones, 1000), timing.cost(np.ones, 25_000_000)
    assert held.all()
    assert little < 20
    assert 180 < much < 220
    (_, more), (_, again) = (timing._cost(work, (25_000_000,)) for work in (and_gone, np.ones))
    assert 550 < more < 600
    assert 180 < again < 220


def and_gone(size):
    """Three times as much for a moment as it gives back."""
    return np.ones(2 * size)[:size].copy()


def test_hollow_stages_keep_what_they_depend_on():
    real = read(root() / "dvc.yaml")["stages"]
    hollow = pipeline.hollow(real)
    assert list(real) == list(hollow)
    for name in real.keys() - {"code"}:
        one, other = (stages[name].get("do", stages[name]) for stages in (real, hollow))
        assert {**one, "cmd": None} == {**other, "cmd": None}
        assert other["cmd"].startswith("mkdir -p ")


def test_a_game_that_was_stopped_is_not_measured():
    with pytest.raises(RuntimeError, match="not a whole game"):
        games.whole(Outcome(torch.nn.Identity(), [], np.zeros(0), "collapsed in epoch 2"))


KINDS = [(what, size) for what in ("images", "seeds") for size in (1, 2, 4)]
GROWN = [
    {"work": "training", "grows": what, "size": size, "seconds": 2.0 * size, "memory": 1.0} for what, size in KINDS
]


@pytest.mark.slow
def test_growth_has_three_sizes_of_each_and_a_figure(monkeypatch):
    assert all(len(sizes) == 3 for sizes in growth.SIZES.values())
    assert set(growth.SIZES) == set(growth.BASE)
    base = {"images": 64, "lambdas": 1, "seeds": 1, "identities": 3}
    monkeypatch.setattr(growth, "FINITE", replace(growth.FINITE, steps=20))
    rows = growth.growth(replace(TINY, pixel_epochs=60), {"images": (64, 128)}, base)
    expected = [(work, "images", size) for work in ("training", "finite", "assessment") for size in (64, 128)]
    assert [(row["work"], row["grows"], row["size"]) for row in rows] == expected
    assert all(row["seconds"] > 0 and row["memory"] >= 0 for row in rows)
    assert growth.slopes(GROWN) == {("training", what): pytest.approx([1, 1]) for what in ("images", "seeds")}
    assert len(growth.figure(GROWN).axes) == 4
    assert len(growth.figure(rows).axes) == 2


def test_what_grows_is_told_in_the_readme_with_where_assessment_grows_faster():
    told = " ".join(said([], GROWN).split())
    assert "4 times the images cost 4.0 times for training; 4 times the seeds cost 4.0 times for training." in told
    assert "to the power" not in told  # nobody measured it
    seconds = {1500: 1.0, 6000: 8.0, 24000: 32.0}
    images = [
        {"work": work, "grows": "images", "size": size, "seconds": taken, "memory": size / 100}
        for work in ("training", "finite", "assessment")
        for size, taken in seconds.items()
    ]
    told = " ".join(said([], images).split())
    assert "32.0 times for training, 32.0 times for the finite release and 32.0 times for assessment" in told
    assert "to the power 1.50 from 1500 to 6000 and 1.00 from 6000 to 24000" in told
    assert "240 MB for training, 240 MB for the finite release and 240 MB for assessment" in told


class Known:
    """A measure that was taken before."""

    def __init__(self, name: str) -> None:
        self.name = name

    def row(self) -> dict:
        return {"name": self.name, "ratio": 2.0}


def test_a_part_of_the_bench_replaces_its_own_rows(tmp_path, monkeypatch):
    """And a measure that there is no more loses its row."""
    (tmp_path / "params.yaml").write_text("{}")
    monkeypatch.setattr("bench.__main__.root", lambda: tmp_path)
    monkeypatch.setattr("bench.__main__.measures", lambda params: {name: Known(name) for name in ("first", "second")})
    path = tmp_path / "reports/metrics/bench.json"
    write_json(path, [{"name": name, "ratio": 7.0} for name in ("gone", "second", "first")])
    main(["second"])
    assert read_json(path) == [{"name": "first", "ratio": 7.0}, {"name": "second", "ratio": 2.0}]
    assert not (tmp_path / "reports/metrics/growth.json").exists()
