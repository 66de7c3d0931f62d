// The words in a box of the drawing, and what a screen reader says of it.

// What it does, where it is, how many nodes it has, and the most that one carries.
function boxWords({ box, open, x, y, wide, high }) {
  const many = count(box.nodes.length, "node");
  const part = box.most >= 0.01 ? ` · ${Math.round(100 * box.most)} %` : "";
  const free = Math.floor((wide - 26) / 6);
  const where = wrapped(box.where, open ? Math.max(8, free - many.length -
    part.length - 3) : free, 1)[0];
  const does = open ? headline(box.title, lettersIn(wide - 22), 1)
    : titleIn(box, wide);
  const under = open ? [`${where} · ${many}${part}`] : [where, many + part];
  const line = (kind, first, step) => (text, i) => sv("text", { class: kind, x: x + 16,
    y: y + first + step * i }, text);
  const turn = sv("text", { class: "turn", x: x + wide - 10,
    y: y + (open ? 18 : high - 9) }, open ? "▾" : "▸");
  return [turn, ...does.map(line("does", 18, 14)),
    ...under.map(line("where", open ? 33 : high - 22, 13))];
}

// The title of a closed box in its lines: two, and a third only where it is needed.
function titleIn(box, wide) {
  return headline(box.title, lettersIn(wide), 3);
}

function lettersIn(wide) {
  return Math.floor((wide - 22) / 6.8);
}

// A title in lines of so many letters. Parentheses at its end tell it from titles that
// are else the same: they are kept, and what is before them is cut.
function headline(title, most, rows) {
  const plain = (text) => text.replace(/`/g, "");
  const whole = wrapped(plain(title), most, rows);
  const parts = title.match(/^(.*\S) (\((?:[^()`]|`[^`]*`)*\))$/s);
  if (!parts) return whole;
  const [start, end] = parts.slice(1).map(plain);
  const fits = whole.join(" ") === plain(title);
  if (fits && (rows === 1 || whole.some((line) => line.includes(end)))) return whole;
  if (rows > 1) {
    const last = wrapped(end, most, rows - 1);
    return [...wrapped(start, most, rows - last.length), ...last];
  }
  const left = most - end.length - 1;
  return left < 2 ? wrapped(end, most, 1) : [`${wrapped(start, left, 1)[0]} ${end}`];
}

// Words in lines of so many letters; what does not fit ends in an ellipsis.
function wrapped(text, most, rows) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const line = lines[lines.length - 1];
    if (line && line.length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  const kept = lines.slice(0, rows);
  const cut = (line, more) => line.length > most || more
    ? line.slice(0, most - 1).trimEnd() + "…" : line;
  return kept.map((line, i) => cut(line, i === rows - 1 && lines.length > rows));
}

function spokenBox(circuit, box) {
  const part = Math.round(100 * box.most);
  const effect = part ? `; one of them carries ${part} % of the decision` : "";
  return `${box.said} (${box.where}): a group of ${count(box.nodes.length, "node")}` +
    effect + (box.raw.note ? `; note: ${box.raw.note}` : "");
}
