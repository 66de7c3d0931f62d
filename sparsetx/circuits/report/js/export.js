// Save the view as a file: the drawing as SVG, or its data as JSON.

const KEPT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity",
    "font-size",
  "font-family", "text-anchor", "display"];

function save(name, type, text) {
  const link = el("a", { download: name, href: URL.createObjectURL(new Blob([text],
      { type })) });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function fileName(end) {
  return state.circuit.replace(/[^\w.-]+/g, "-") + "." + end;
}

// The style sheet is not part of the file, so each element gets its computed style.
function saveSvg() {
  const whole = drawn.svg;
  const copy = whole.cloneNode(true);
  const from = [whole, ...whole.querySelectorAll("*")];
  const to = [copy, ...copy.querySelectorAll("*")];
  const gone = [];
  from.forEach((mark, i) => {
    const style = getComputedStyle(mark);
    if (style.display === "none") gone.push(to[i]);
    for (const name of KEPT) to[i].setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "style", "tabindex", "role",
        "aria-pressed"]) to[i].removeAttribute(name);
  });
  for (const mark of gone) mark.remove();
  copy.setAttribute("xmlns", SPACE);
  const paper = sv("rect", { width: "100%", height: "100%",
    fill: getComputedStyle(byId("drawing")).backgroundColor });
  copy.prepend(paper);
  save(fileName("svg"), "image/svg+xml", new XMLSerializer().serializeToString(copy));
}

function saveJson() {
  const circuit = drawn.circuit;
  const strip = ({ i, ins, outs, title, kinds, ...rest }) => rest;
  const value = {
    circuit: state.circuit, view: { ...state },
    nodes: circuit.nodes.map(strip),
    edges: circuit.edges.filter((e) => drawn.seen.has(e.i)).map((e) => ({
      src: circuit.nodes[e.src].id, dst: circuit.nodes[e.dst].id, kind: e.kind,
      weight: e.weight, cost: e.cost })),
  };
  save(fileName("json"), "application/json", JSON.stringify(value, null, 1));
}
