// The first minute: the scenes of a circuit's story. Each lights a part of the picture
// and of the drawing, says one sentence, and offers something to try in the model.

const SCENES = { difference: "what decides", answers: "the answer",
  limits: "its limits" };
const LEFT = 0.5; // nats of a lead that are worth a word
const story = { before: null, was: null };

function scenesOf(raw) {
  return raw.story || [];
}

function sceneName(scene) {
  if (scene.kind in SCENES) return SCENES[scene.kind];
  if (!scene.heads.length && !scene.carrier) return scene.kind;
  const s = scene.heads.length > 1 ? "" : "s";
  return scene.kind === "attention" ? `where ${partName(scene)} look${s}`
    : scene.kind === "value" ? `what ${partName(scene)} bring${s}` : partName(scene);
}

function sceneNow(raw) {
  const scenes = scenesOf(raw);
  return scenes[Math.max(0, Math.min(state.scene, scenes.length - 1))] || null;
}

function showStory(raw) {
  story.before = null;
  const scenes = scenesOf(raw);
  byId("told").hidden = !scenes.length;
  fill("scenes", scenes.map((scene, i) => el("li", {}, el("button", { type: "button",
    on: { click: () => goTo(i) } }, `${i + 1} `, el("span", {},
    sceneName(scene))))));
  fill("rungs", rungsOf(raw));
  showIntro(raw);
  showPicture();
  showScene();
  if (!picture.typed) typeOut();
}

function goBy(way) {
  const raw = rawCircuit(state.circuit);
  goTo(scenesOf(raw).indexOf(sceneNow(raw)) + way);
}

// Another scene; what was tried in this one is taken back.
function goTo(i) {
  const scenes = scenesOf(rawCircuit(state.circuit));
  const ids = scenes[i].nodes;
  takeBack();
  change({ scene: i, group: "", node: ids.length === 1 ? ids[0] : "",
    query: ids.length === 1 ? "" : ids.join(" | ") });
}

function showScene() {
  const raw = rawCircuit(state.circuit);
  const scenes = scenesOf(raw);
  const scene = sceneNow(raw);
  if (!scene) {
    paintStory();
    return;
  }
  const at = scenes.indexOf(scene);
  [...byId("scenes").children].forEach((item, i) => {
    if (i === at) item.firstChild.setAttribute("aria-current", "step");
    else item.firstChild.removeAttribute("aria-current");
  });
  fill("sentence", prose(scene.text));
  byId("back").disabled = at === 0;
  byId("next").disabled = at === scenes.length - 1;
  const name = tryName(raw, scene);
  byId("try").hidden = !name;
  byId("try").textContent = name || "Try it";
  fill("invite", !name && scene.nodes.length ? el("button", { type: "button",
    on: { click: () => showNodes(scene.nodes) } }, "Find it in the whole circuit")
    : null);
  paintStory();
}

// --- Something to try ----------------------------------------------------------------

function tryName(raw, scene) {
  if (!canRun(raw)) return "";
  const given = givenPair();
  const [one, other] = deciders(given);
  if (scene.kind === "difference") {
    return swapped(textOf(given[picture.side]), given) === null ? ""
      : `Swap it: ${shown(one)} ⇄ ${shown(other)}`;
  }
  if (scene.kind === "limits") {
    return mixed(textOf(given[picture.side]), given) === null ? ""
      : `Guess first, then put both in: ${shown(one)} and ${shown(other)}`;
  }
  return actsIn(raw, scene).length ? scene.does : "";
}

// The changes of the model that a scene asks for.
function actsIn(raw, scene) {
  const list = [];
  for (const [kind, ids] of scene.acts) {
    for (const id of ids) {
      const { site, layer, index, head } = parsed(id, raw.d_head);
      const one = kind === "freeze" ? { site: "attn_pattern", layer, indices: [head] }
        : { site, layer, indices: [index] };
      if (kind !== "freeze" && !canAct(raw, { site, index })) continue;
      if (!list.some((x) => keyOf(x) === keyOf(one))) list.push({ ...one, act: kind });
    }
  }
  return list;
}

// A prompt with the deciding tokens of both kinds: the other's before its next word.
function mixed(text, given) {
  const [one, other] = deciders(given);
  const at = [text.lastIndexOf(one), text.lastIndexOf(other)];
  if (!one || !other || (at[0] < 0 && at[1] < 0)) return null;
  const [own, more, start] = at[0] >= at[1] ? [one, other, at[0]] : [other, one, at[1]];
  const after = start + own.length;
  const space = text.indexOf(" ", after);
  const place = space < 0 ? after + Math.ceil((text.length - after) / 2) : space;
  return text.slice(0, place) + more + text.slice(place);
}

function tryIt() {
  if (story.before) {
    takeBack();
    return;
  }
  endTyping();
  const raw = rawCircuit(state.circuit);
  const scene = sceneNow(raw);
  const side = picture.side;
  const given = givenPair();
  const text = ownText(side);
  story.was = leadsNow();
  story.before = { acts: live.acts, side, text };
  if (scene.kind === "difference") setText(side, swapped(text, given) ??
    swapped(textOf(given[side]), given));
  else if (scene.kind === "limits") setText(side, mixed(textOf(given[side]), given));
  else {
    const part = scene.heads.length ? partName(scene) : "";
    const by = part && { by: scene.kind === "attention" ? `queries and keys of ${part}`
      : part };
    const list = actsIn(raw, scene).map((one) => ({ ...one, ...by }));
    const keys = new Set(list.map(keyOf));
    setActs([...live.acts.filter((x) => !keys.has(keyOf(x))), ...list]);
  }
}

function takeBack() {
  if (!story.before) return;
  const { acts, side, text } = story.before;
  story.before = null;
  if (live.acts !== acts) setActs(acts);
  if (ownText(side) !== text) setText(side, text);
  paintStory();
}

// --- What came of it -----------------------------------------------------------------

// By how much the answer of A is ahead: in the circuit, in the whole model.
function leadsNow() {
  const pair = pairNow(prepared(state.circuit));
  const told = pair[picture.side];
  const sign = picture.side === "a" ? 1 : -1;
  return { circuit: told.margin * sign,
    "whole model": told.whole === null ? null : told.whole * sign };
}

function paintStory() {
  if (!byId("outcome")) return;
  const tried = Boolean(story.before);
  byId("try").setAttribute("aria-pressed", String(tried));
  fill("outcome", tried ? outcomeOf(story.was, leadsNow()) : null);
  paintPicture();
}

function outcomeOf(was, now) {
  return Object.keys(was).filter((of) => was[of] !== null && now[of] !== null)
    .map((of) => el("p", {}, `In the ${of} `, changeOf(was[of], now[of]),
      live.acts.length > 0 && was[of] * now[of] > 0 && Math.abs(now[of]) > LEFT &&
        " The rest of the lead comes by other ways."));
}

function changeOf(was, now) {
  const given = givenPair();
  const name = (lead) => code(given[lead > 0 ? "a" : "b"].answer);
  const figures = ` (its lead: ${signed(Math.abs(was))} → ` +
    `${signed(now * Math.sign(was || 1))} nats).`;
  return was * now < 0
    ? [el("b", {}, "the answer flips"), ", from ", name(was), " to ", name(now),
      figures]
    : [el("b", {}, "the answer stays "), name(now), figures];
}
