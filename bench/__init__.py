"""`make bench`: what the library costs, beside plain versions of the same work. Nothing in the library needs it."""
