// The slider over a register's history: says while it moves which day it stands for, and marks that day above it.
// Without this script it is a form like any other.

const form = document.querySelector("[data-slider]");
const points = Array.from(form?.querySelectorAll("[data-growth] li") ?? [], (point) => ({
  index: Number(point.dataset.index),
  records: Number(point.dataset.records),
  x: point.dataset.x,
  day: point.textContent,
}));

function show() {
  const size = Number(form.elements.at.value);
  const point = points.findLast(({ index }) => index < size) ?? points[0];
  const text = `${size.toLocaleString("en")} of ${Number(form.elements.at.max).toLocaleString("en")}, about ${point.day}`;
  form.querySelector("[data-output]").textContent = text;
  const mark = document.querySelector("[data-here]");
  for (const end of ["x1", "x2"]) mark.setAttribute(end, point.x);
}

form?.elements.at.addEventListener("input", show);
