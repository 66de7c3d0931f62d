// The contrast of every visible text against what is behind it, as WCAG 2.1 measures
// it. Returns those below what is asked: 4.5, or 3 for large text.
(() => {
  const pen = document.createElement("canvas").getContext("2d",
    { willReadFrequently: true });
  const known = new Map();
  const rgba = (colour) => {
    if (!known.has(colour)) {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      known.set(colour, [...pen.getImageData(0, 0, 1, 1).data].map((v) => v / 255));
    }
    return known.get(colour);
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((v, i) =>
    a * v + (1 - a) * below[i]);
  const light = (colour) => colour.map((v) => (v <= 0.04045 ? v / 12.92
    : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) =>
    s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (mark) => {
    const stack = [];
    for (let m = mark; m; m = m.parentElement) {
      const colour = rgba(getComputedStyle(m).backgroundColor);
      stack.push(colour);
      if (colour[3] === 1) break;
    }
    const base = rgba(getComputedStyle(document.body).backgroundColor);
    return stack.reverse().reduce((below, colour) => over(colour, below), base);
  };
  const seen = (mark) => {
    for (let m = mark; m; m = m.parentElement) {
      const style = getComputedStyle(m);
      if (style.display === "none" || style.visibility === "hidden") return 0;
      if (m.matches("button:disabled, .dim, [aria-hidden='true']")) return 0;
    }
    let all = 1;
    for (let m = mark; m; m = m.parentElement) all *= getComputedStyle(m).opacity;
    return all;
  };
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const mark = walk.currentNode.parentElement;
    const text = walk.currentNode.textContent.trim();
    if (!text || mark.closest("script, style, option")) continue;
    const box = mark.getBoundingClientRect();
    const opacity = seen(mark);
    if (!opacity || box.width < 2 || box.right < 0) continue;
    const style = getComputedStyle(mark);
    const ground = behind(mark);
    const ink = rgba(mark.closest("svg") ? style.fill : style.color);
    const text3 = over([ink[0], ink[1], ink[2], ink[3] * opacity], ground);
    const [a, b] = [light(text3), light(ground)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5) - 0.005) {
      found.push(`${ratio.toFixed(2)} ${mark.tagName}.${mark.getAttribute("class")} ` +
        text.slice(0, 40));
    }
  }
  return found;
})()
