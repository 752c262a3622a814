// A proof as a picture: the leaf at the bottom, at each level the sibling that the proof gives, the root at the top.
//
//     ●  signed root
//     ●──○          each line of the proof is one ○, to the left or the right of our own node ●
//  ○──●
//     ●  leaf

import { hex } from "./verify.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, STEP, MIDDLE, AWAY, LABEL] = [320, 44, 160, 88, 8];

// The picture of a path as `climb` gives it; `holds` tells whether it leads to `root`.
export function draw(leaf, path, root, holds) {
  const height = (path.length + 1) * STEP + 24;
  const level = (i) => height - 20 - i * STEP;
  const title = `${path.length} hashes lead from the leaf ${hex(leaf).slice(0, LABEL)} to the root; ` +
    (holds ? "it is the signed one." : "it is not the signed one.");
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "path", "aria-label": title });
  path.forEach(({ sibling, left }, i) => {
    const x = MIDDLE + (left ? -AWAY : AWAY);
    svg.append(line(MIDDLE, level(i), MIDDLE, level(i + 1)), line(x, level(i), MIDDLE, level(i + 1)));
    svg.append(...node(x, level(i), sibling, "given"));
  });
  path.slice(0, -1).forEach((step, i) => svg.append(...node(MIDDLE, level(i + 1), step.node, "ours")));
  svg.append(...node(MIDDLE, level(0), leaf, path.length || holds ? "leaf" : "bad"));
  if (path.length) svg.append(...node(MIDDLE, level(path.length), path.at(-1).node, holds ? "root" : "bad"));
  if (!holds) svg.append(...node(MIDDLE + AWAY, level(path.length), root, "wanted"));
  return svg;
}

function node(x, y, hash, kind) {
  const text = make("text", { x, y: y + 4, "text-anchor": "middle", class: kind });
  text.textContent = hex(hash).slice(0, LABEL);
  return [make("rect", { x: x - 36, y: y - 12, width: 72, height: 24, rx: 12, class: kind }), text];
}

const line = (x1, y1, x2, y2) => make("line", { x1, y1, x2, y2 });

function make(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
