// A drawing that is larger than its frame is moved by dragging it. Fingers scroll it
// without this.

const DRAGGED = 5; // pixels from which a click is a drag

function listenToDrag() {
  const box = byId("drawing");
  let from = null;
  box.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch") return;
    from = { x: event.clientX, y: event.clientY, left: box.scrollLeft,
      top: box.scrollTop };
    box.dataset.dragged = "";
  });
  window.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    if (!box.dataset.dragged && Math.hypot(x, y) < DRAGGED) return;
    box.dataset.dragged = "yes";
    tell("");
    box.scrollTo({ left: from.left - x, top: from.top - y, behavior: "instant" });
  });
  for (const end of ["pointerup", "pointercancel"]) {
    window.addEventListener(end, () => { from = null; });
  }
  box.addEventListener("click", (event) => { // a drag chooses nothing
    if (box.dataset.dragged) event.stopPropagation();
    box.dataset.dragged = "";
  }, true);
}
