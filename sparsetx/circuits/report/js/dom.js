// Create and fill elements. Text from data only ever becomes a text node.

const SPACE = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "on") {
      for (const [event, run] of Object.entries(value)) node.addEventListener(event,
          run);
    } else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, value);
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

function el(tag, attributes, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function sv(tag, attributes, ...children) {
  return filled(document.createElementNS(SPACE, tag), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

function fill(id, ...children) {
  const node = typeof id === "string" ? byId(id) : id;
  node.replaceChildren(...children.flat(Infinity).filter((child) => child));
  return node;
}

function choices(select, options, chosen) {
  fill(select, options.map(([value, text]) =>
    el("option", { value, selected: value === chosen }, text)));
}

// A number with three significant digits and a real minus sign.
function number(x, digits = 3) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const text = size >= 1000 ? Math.round(size).toLocaleString("en")
    : size < 0.0005 ? "<0.001" : String(Number(size.toPrecision(digits)));
  return (x < 0 ? "−" : "") + text;
}

function signed(x) {
  return x > 0 ? "+" + number(x) : number(x);
}

function share(x) {
  return x === null || x === undefined ? "–" : (100 * x).toFixed(1) + " %";
}

function count(n, noun) {
  return n.toLocaleString("en") + " " + noun + (n === 1 ? "" : "s");
}

// A token with line ends, tabs and outer spaces made visible.
function shown(text) {
  return text.replace(/\n/g, "⏎").replace(/\t/g, "⇥").replace(/^ +| +$/g,
    (spaces) => "␣".repeat(spaces.length));
}

function code(text, kind) {
  return el("code", { class: kind }, shown(text));
}

// A shade of the colour for a value's sign, over the colour `below`.
function tint(value, part, below) {
  const sign = value < 0 ? "--down" : "--up";
  return `color-mix(in oklab, var(${sign}) ${part}%, ${below})`;
}

// Text in which `code` becomes an element.
function prose(text) {
  const minus = (part) => part.replace(/(^|[\s(])-(?=\d)/g, "$1−");
  return (text || "").split("`").map((part, i) => i % 2 ? el("code", {}, part)
    : minus(part));
}

function bytes(packed) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(packed);
  const text = atob(packed);
  const found = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) found[i] = text.charCodeAt(i);
  return found;
}

// The page's data: JSON, deflated, in base64.
async function unpacked(text) {
  if (!window.DecompressionStream) {
    byId("intro").textContent = "This page needs a newer browser: Chrome 80, Safari " +
      "16.4, Firefox 113, or later.";
  }
  const packed = new Blob([bytes(text)]).stream();
  const whole = packed.pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(whole).text());
}

function whenIdle(run) {
  if (window.requestIdleCallback) requestIdleCallback(run, { timeout: 600 });
  else setTimeout(run, 50);
}

// Show the tooltip for what the pointer or the focus is on.
function tell(text, x, y) {
  const tip = byId("tip");
  tip.hidden = !text;
  if (!text) return;
  tip.textContent = text;
  const wide = document.documentElement.clientWidth;
  tip.style.left = Math.max(8, Math.min(x + 14, wide - tip.offsetWidth - 8)) + "px";
  const below = y + 18 + tip.offsetHeight < window.innerHeight;
  tip.style.top = (below ? y + 18 : y - tip.offsetHeight - 10) + "px";
}
