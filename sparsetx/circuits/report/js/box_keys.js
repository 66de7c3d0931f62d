// Pointer and keys in the drawing of groups: a click or Enter opens and closes a box,
// arrow keys move from one box or node to the next, and Tab reaches one of them.

function listenToBoxes(svg, circuit) {
  const keyOfBox = (event) => {
    const mark = event.target.closest("[data-box]");
    return mark ? Number(mark.dataset.box) : null;
  };
  svg.addEventListener("click", (event) => {
    const key = keyOfBox(event);
    if (key !== null) turnBox(circuit, key);
  });
  svg.addEventListener("pointermove", (event) => {
    const key = keyOfBox(event);
    const line = event.target.closest("[data-arrow]");
    if (key !== null) {
      tell(spokenBox(circuit, groupingOf(circuit).boxes[key]), event.clientX,
          event.clientY);
    } else if (line) {
      tell(arrowText(circuit, drawn.boxes.arrows[Number(line.dataset.arrow)]),
          event.clientX, event.clientY);
    }
  });
  svg.addEventListener("focusin", (event) => {
    const key = keyOfBox(event);
    if (key === null || !event.target.matches(":focus-visible")) return;
    const frame = event.target.firstChild.getBoundingClientRect();
    tell(spokenBox(circuit, groupingOf(circuit).boxes[key]), frame.right, frame.top);
  });
  svg.addEventListener("keydown", (event) => {
    const key = keyOfBox(event);
    if (key !== null && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      turnBox(circuit, key);
    } else if (event.key.startsWith("Arrow")) moveUnit(event);
  });
}

function markOfBox(key) {
  return drawn.boxes.marks.get("b" + key) || drawn.boxes.marks.get("o" + key);
}

// --- Walking ------------------------------------------------------------------------

// Everything that can have the focus: {mark, x, y}, its middle. The middle of an open
// box is that of its title.
function unitMarks() {
  const { marks, place } = drawn.boxes;
  const boxes = [...marks].map(([id, mark]) => {
    const { x, y, wide, high } = place.frames.get(id);
    return { mark, x: x + wide / 2, y: y + high / 2 };
  });
  const nodes = drawn.nodes.map((mark, i) => ({ mark, ...place.place[i] }));
  return [...boxes, ...nodes.filter(Boolean)];
}

function moveUnit(event) {
  const all = unitMarks();
  const here = all.find(({ mark }) => mark === event.target);
  const next = here && nextUnit(all, here, event.key);
  if (!next) return;
  event.preventDefault();
  event.stopPropagation();
  offerUnit(next.mark);
  next.mark.focus();
}

// The nearest in that direction; what is aside counts twice.
function nextUnit(all, here, name) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],
    ArrowDown: [0, 1] }[name];
  const found = all.map((one) => {
    const along = (one.x - here.x) * dx + (one.y - here.y) * dy;
    const aside = Math.abs((one.x - here.x) * dy) + Math.abs((one.y - here.y) * dx);
    return { one, along, far: along + 2 * aside };
  }).filter(({ along }) => along > 1).sort((a, b) => a.far - b.far)[0];
  return found && found.one;
}

// Tab reaches one only: what has the focus, else the pinned node, else the chosen box.
function offerUnit(mark) {
  const active = document.activeElement;
  const held = unitMarks().some((one) => one.mark === active) && active;
  const first = mark || held || drawn.nodes[drawn.circuit.places.get(state.node)] ||
    markOfBox(state.group) || drawn.boxes.marks.values().next().value;
  if (drawn.offered) drawn.offered.setAttribute("tabindex", "-1");
  drawn.offered = first;
  if (first) first.setAttribute("tabindex", "0");
}

// What has the focus, before it is drawn anew: {box} or {node}, or null.
function heldUnit() {
  const active = document.activeElement;
  if (!byId("drawing").contains(active)) return null;
  return { box: active.dataset.box, node: active.dataset.node };
}

// The same again; of a node whose box was closed, the box.
function holdAgain(circuit, { box, node }) {
  const key = node === undefined ? box : groupingOf(circuit).of[Number(node)];
  const mark = (node !== undefined && drawn.nodes[Number(node)]) || markOfBox(key);
  if (mark) offerUnit(mark);
  if (drawn.offered) drawn.offered.focus({ preventScroll: true });
}
