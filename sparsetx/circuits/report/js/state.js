// What the reader has chosen. It is kept in the address, so that a view can be shared.

const START = {
  groups: true, group: "", open: "", over: "",
  circuit: "", node: "", metric: "cost", threshold: 0, query: "", view: "cost",
  links: true, zoom: 1, pair: -1, step: -1, head: "largest",
  scene: 0, against: "",
};
const SHORT = {
  groups: "g", group: "u", open: "o", over: "w",
  circuit: "c", node: "n", metric: "m", threshold: "t", query: "q", view: "v",
  links: "r", zoom: "z", pair: "p", step: "i", head: "h", scene: "s",
  against: "a",
};
const state = { ...START };
const watchers = [];
let writing = false;

function watch(keys, run) {
  watchers.push({ keys, run });
}

function change(patch) {
  const changed = Object.keys(patch).filter((key) => state[key] !== patch[key]);
  if (!changed.length) return;
  Object.assign(state, patch);
  for (const { keys, run } of watchers) {
    if (keys.some((key) => changed.includes(key))) run(changed);
  }
  writeAddress();
}

function addressOf(patch = {}) {
  const told = { ...state, ...patch };
  const parts = new URLSearchParams();
  for (const key of Object.keys(START)) {
    if (told[key] !== START[key]) parts.set(SHORT[key], String(told[key]));
  }
  if (noted.packed) parts.set("x", noted.packed);
  return "#" + parts.toString();
}

function writeAddress() {
  if (writing) return;
  writing = true;
  requestAnimationFrame(() => {
    writing = false;
    const address = addressOf();
    if (location.hash !== address) history.replaceState(null, "", address);
  });
}

// The state in the address, each value in the type of its default; what is not there
// has its default.
function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const found = { ...START };
  for (const key of Object.keys(START)) {
    const text = parts.get(SHORT[key]);
    if (text === null) continue;
    if (typeof START[key] === "number") {
      if (Number.isFinite(Number(text))) found[key] = Number(text);
    } else if (typeof START[key] === "boolean") found[key] = text === "true";
    else found[key] = text;
  }
  found.threshold = Math.min(100, Math.max(0, found.threshold));
  found.zoom = Math.min(3, Math.max(0.5, found.zoom));
  return found;
}
