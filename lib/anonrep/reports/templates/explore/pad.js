// A sheet to draw on: strokes as lists of [x, y] in tablet units, 0 to 500, y upwards, sent when the pen is lifted.
const TABLET = 500;

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = TABLET;
  canvas.className = "anonrep-pad";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "a sheet to draw a digit on with mouse, pen or finger");
  const context = canvas.getContext("2d");
  Object.assign(context, { lineWidth: 24, lineCap: "round", lineJoin: "round" });
  let stroke = null;

  const line = (points) => {
    context.beginPath();
    points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, TABLET - y));
    if (points.length === 1) context.lineTo(points[0][0], TABLET - points[0][1]);
    context.stroke();
  };
  const sheet = () => {
    context.clearRect(0, 0, TABLET, TABLET);
    model.get("strokes").forEach(line);
  };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const inside = (part) => Math.round(TABLET * Math.min(1, Math.max(0, part)));
    return [inside((event.clientX - box.left) / box.width), inside(1 - (event.clientY - box.top) / box.height)];
  };
  canvas.onpointerdown = (event) => {
    canvas.setPointerCapture(event.pointerId); // a stroke may leave the sheet and come back
    stroke = [place(event)];
    line(stroke);
  };
  canvas.onpointermove = (event) => {
    if (!stroke) return;
    stroke.push(place(event));
    line(stroke.slice(-2));
  };
  canvas.onpointerup = canvas.onpointercancel = () => {
    if (!stroke) return;
    model.set("strokes", [...model.get("strokes"), stroke]);
    model.save_changes();
    stroke = null;
  };
  model.on("change:strokes", sheet);
  sheet();
  el.append(canvas);
  return () => model.off("change:strokes", sheet);
}

export default { render };
