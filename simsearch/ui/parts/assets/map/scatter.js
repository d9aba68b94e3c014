// Pictures as points on a canvas: moved over, zoomed into, gone through by arrow keys, searched by.
// All text comes as data and goes in as textContent.
const lives = new WeakMap();
const kept = new Map(); // what was looked at, by token, for the way back

const FEW = 60; // so many points in sight are drawn as pictures
const MARGIN = 36, CLOSEST = 2000, STEP = 1.5, SLACK = 5, REACH = 14, IMAGES = 400, PATIENCE = 140;
const HINT = matchMedia("(hover: hover)").matches
  ? "Click or Enter searches by a picture. Drag to move, turn the wheel to zoom; arrow keys, + and −, 0 for all."
  : "Tap a picture to see it. Spread two fingers to zoom.";
// Told apart on their ground by lightness too; years go from the first to the last of a ramp.
const INKS = {
  light: { groups: ["#0b62a8", "#c4510a", "#15803d", "#a21caf", "#7a5800", "#be123c", "#0e7490", "#5b3fc4", "#4d6a0b",
    "#39434d"],
    ramp: ["#7fa8d6", "#1b1464"], rest: "#767e86" },
  dark: { groups: ["#6cb6ff", "#ff9d5c", "#63d489", "#e38ff0", "#dfc15a", "#ff8095", "#5ad1e0", "#b3a0ff", "#b4d455",
    "#f2f4f5"],
    ramp: ["#4a5fc1", "#f6e58d"], rest: "#8d979f" },
};

const between = (value, least, most) => Math.min(Math.max(value, least), most);

function mixed(ends, part) {
  const read = (ink) => [1, 3, 5].map((at) => parseInt(ink.slice(at, at + 2), 16));
  const [from, to] = ends.map(read);
  return `rgb(${from.map((value, i) => Math.round(value + (to[i] - value) * part)).join(" ")})`;
}

function inksOf(grouping, dark) {
  const inks = dark ? INKS.dark : INKS.light;
  if (!grouping) return [inks.groups[0]];
  const count = grouping.labels.length - (grouping.rest ? 1 : 0);
  const own = (i) => grouping.ordered ? mixed(inks.ramp, count > 1 ? i / (count - 1) : 0) : inks.groups[i];
  return grouping.labels.map((_, i) => i < count ? own(i) : inks.rest);
}

// Thumbnails, asked for when the view has come to rest; those not looked at for longest are let go.
function thumbnails(prefix, redraw) {
  const known = new Map();
  let timer = 0;
  const load = (id) => {
    const image = new Image();
    image.onload = redraw;
    image.onerror = () => { image.failed = true; redraw(); };
    image.src = prefix + id;
    known.set(id, image);
    if (known.size > IMAGES) known.delete(known.keys().next().value);
  };
  return {
    ready(id) {
      const image = known.get(id);
      if (!image) return null;
      known.delete(id);
      known.set(id, image);
      return image.complete && image.naturalWidth && !image.failed ? image : null;
    },
    want(ids) {
      clearTimeout(timer);
      timer = setTimeout(() => ids.filter((id) => !known.has(id)).forEach(load), PATIENCE);
    },
    stop() { clearTimeout(timer); },
  };
}

// Where points are on the screen. `x` and `y` are the point of the plane in the middle of it.
function camera(data, view, size) {
  const ends = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [Infinity, -Infinity]);
  const [left, right] = ends(data.xs), [low, high] = ends(data.ys);
  const scale = () => view.zoom * Math.min(
    (size.width - 2 * MARGIN) / Math.max(right - left, 1e-6), (size.height - 2 * MARGIN) / Math.max(high - low, 1e-6));
  const hold = () => { view.x = between(view.x, left, right); view.y = between(view.y, low, high); };
  const reset = () => Object.assign(view, { zoom: 1, x: (left + right) / 2, y: (low + high) / 2 });
  if (!view.zoom) reset();
  return {
    reset, view,
    screen(i) {
      const by = scale();
      return [(data.xs[i] - view.x) * by + size.width / 2, (view.y - data.ys[i]) * by + size.height / 2];
    },
    move(dx, dy) { view.x -= dx / scale(); view.y += dy / scale(); hold(); },
    // What lies at (px, py) of the screen stays there.
    zoom(factor, px = size.width / 2, py = size.height / 2) {
      const before = scale();
      view.zoom = between(view.zoom * factor, 1, CLOSEST);
      const change = 1 / before - 1 / scale();
      view.x += (px - size.width / 2) * change;
      view.y -= (py - size.height / 2) * change;
      if (view.zoom === 1) reset();
      hold();
    },
  };
}

// The nearest point in the direction of an arrow key; of several at the same place, the next in order.
function neighbour(data, from, [dx, dy], isDim) {
  let best = -1, least = Infinity;
  for (let i = 0; i < data.ids.length; i++) {
    const x = data.xs[i] - data.xs[from], y = data.ys[i] - data.ys[from];
    const along = x * dx + y * dy, aside = Math.abs(x * dy) + Math.abs(y * dx);
    const same = x === 0 && y === 0 && (i - from) * (dx + dy) > 0;
    if (isDim(i) || (!same && (along <= 0 || aside > along))) continue;
    const far = same ? Math.abs(i - from) * 1e-12 : along + 2 * aside;
    if (far < least) [best, least] = [i, far];
  }
  return best;
}

function painter(canvas, root, data, state, eye, pictures) {
  const pen = canvas.getContext("2d");
  const dots = new Map();
  let key = "";
  const dot = (ink, ground, radius, ratio) => {
    if (!dots.has(ink)) {
      const side = Math.ceil((radius + 2) * ratio) * 2;
      const made = Object.assign(document.createElement("canvas"), { width: side, height: side });
      const own = made.getContext("2d");
      // A ring of the ground tells those apart that lie over each other.
      for (const [fill, wide] of [[ground, radius + 0.75], [ink, radius]]) {
        own.fillStyle = fill;
        own.beginPath();
        own.arc(side / 2, side / 2, wide * ratio, 0, 7);
        own.fill();
      }
      dots.set(ink, made);
    }
    return dots.get(ink);
  };
  const framed = (image, x, y, side, ink, wide) => {
    const by = side / Math.max(image.naturalWidth, image.naturalHeight);
    const width = image.naturalWidth * by, height = image.naturalHeight * by;
    pen.fillStyle = ink;
    pen.fillRect(x - width / 2 - wide, y - height / 2 - wide, width + 2 * wide, height + 2 * wide);
    pen.drawImage(image, x - width / 2, y - height / 2, width, height);
  };
  return (seen) => {
    const ratio = window.devicePixelRatio || 1, { width, height } = state.size;
    if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
    if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
    const { color: text, backgroundColor: ground } = getComputedStyle(root);
    const [r, g, b] = ground.match(/[\d.]+/g).map(Number);
    const dark = r + g + b < 380, grouping = data.groupings[state.by];
    const inks = inksOf(grouping, dark), radius = data.ids.length > 2000 ? 3 : 4;
    if (key !== (key = [ratio, radius, ground, inks].join())) dots.clear();
    state.inked(inks);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const few = seen.length <= FEW, side = few ? state.side(seen.length) * ratio : 0;
    const one = (i, chosen) => {
      const [x, y] = eye.screen(i).map((value) => value * ratio), group = grouping ? grouping.of[i] : 0;
      pen.globalAlpha = state.only >= 0 && group !== state.only && !chosen ? 0.12 : 1;
      const image = few ? pictures.ready(data.ids[i]) : null;
      if (image) return framed(image, x, y, side, chosen ? text : inks[group], (chosen ? 4 : 2) * ratio);
      if (chosen) {
        pen.fillStyle = text;
        pen.beginPath();
        pen.arc(x, y, (radius + 4) * ratio, 0, 7);
        pen.fill();
      }
      const drop = dot(inks[group], ground, radius, ratio);
      // On whole pixels it is copied, and not reckoned anew.
      pen.drawImage(drop, Math.round(x - drop.width / 2), Math.round(y - drop.height / 2));
    };
    // What has no colour lies below, what stands out above; else no group hides another. Of a few, those that
    // are still dots lie below.
    const last = grouping?.rest ? grouping.labels.length - 1 : -1;
    const rank = (i) => few ? Number(Boolean(pictures.ready(data.ids[i])))
      : grouping?.of[i] === state.only ? 2 : grouping?.of[i] === last ? 0 : 1;
    for (const height of [0, 1, 2]) for (const i of seen) if (rank(i) === height) one(i, false);
    for (const i of new Set([state.chosen, state.hovered])) if (i >= 0) one(i, true);
    if (few) pictures.want(seen.map((i) => data.ids[i]));
    root.dataset.drawn = few ? "pictures" : "dots";
    root.dataset.seen = seen.length;
  };
}

// Which groups there are, and the choice of what they are by; a group that is pressed stands out.
function legend(data, state, redraw) {
  const list = element("ul", { "aria-label": "Groups" });
  const fill = () => {
    const grouping = data.groupings[state.by];
    list.replaceChildren(...grouping.labels.map((label, i) => element("li", {}, element("button", {
      type: "button", "aria-pressed": String(state.only === i),
      onclick: () => { state.only = state.only === i ? -1 : i; mark(); redraw(); },
    }, element("span", { class: "ink", "aria-hidden": "true" }), element("span", { text: label }),
    element("span", { class: "count", text: String(grouping.of.filter((group) => group === i).length) })))));
  };
  const mark = () => [...list.querySelectorAll("button")].forEach(
    (button, i) => button.setAttribute("aria-pressed", String(state.only === i)));
  state.inked = (inks) => [...list.querySelectorAll(".ink")].forEach((ink, i) => { ink.style.background = inks[i]; });
  if (!data.groupings.length) return [];
  fill();
  if (data.groupings.length === 1) return [element("div", { class: "legend" }, element("span", { text: data.groupings[0].title }), list)];
  const select = element("select", { onchange: () => {
    Object.assign(state, { by: Number(select.value), only: -1 });
    fill();
    redraw();
  } }, ...data.groupings.map((grouping, i) => element("option", { value: i, text: grouping.title })));
  select.value = state.by;
  return [element("div", { class: "legend" }, element("label", {}, element("span", { text: "Colour" }), select), list)];
}

// One pointer moves the view, two spread it; one that was let go where it came down has tapped.
function pointing(stage, eye, { hover, tap, redraw }, signal) {
  const down = new Map();
  let moved = false;
  const place = (event) => {
    const box = stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const pair = () => {
    const [[ax, ay], [bx, by]] = [...down.values()];
    return { far: Math.hypot(ax - bx, ay - by), x: (ax + bx) / 2, y: (ay + by) / 2 };
  };
  // While all is in sight a finger scrolls the page, or there would be no way past the map.
  const settle = () => { stage.style.touchAction = eye.view.zoom > 1 ? "none" : "pan-y"; };
  settle();
  const on = (kind, heard, options = {}) => stage.addEventListener(kind, heard, { signal, ...options });
  on("pointerdown", (event) => {
    if (event.button) return;
    if (!down.size) moved = false;
    down.set(event.pointerId, [...place(event), ...place(event)]);
    stage.setPointerCapture(event.pointerId);
  });
  on("pointermove", (event) => {
    const [x, y] = place(event), last = down.get(event.pointerId);
    if (!last) return event.pointerType === "touch" ? undefined : hover(x, y);
    const before = down.size === 2 ? pair() : null;
    moved ||= down.size > 1 || Math.hypot(x - last[2], y - last[3]) > SLACK;
    down.set(event.pointerId, [x, y, last[2], last[3]]);
    if (!moved) return;
    if (before) {
      const after = pair();
      eye.move(after.x - before.x, after.y - before.y);
      eye.zoom(after.far / Math.max(before.far, 1), after.x, after.y);
    } else if (down.size === 1) {
      eye.move(x - last[0], y - last[1]);
    }
    stage.classList.add("moving");
    redraw();
  });
  const up = (event) => {
    const was = down.delete(event.pointerId);
    if (down.size) return;
    stage.classList.remove("moving");
    settle();
    if (was && !moved && event.type === "pointerup") tap(...place(event), event.pointerType === "touch");
  };
  on("pointerup", up);
  on("pointercancel", up);
  on("pointerleave", () => hover(-1e6, -1e6));
  on("wheel", (event) => {
    if (eye.view.zoom === 1 && event.deltaY > 0 && !event.ctrlKey) return;
    event.preventDefault();
    const lines = event.deltaMode ? 30 : 1;
    eye.zoom(Math.exp(-between(event.deltaY * lines, -300, 300) * (event.ctrlKey ? 0.01 : 0.002)), ...place(event));
    settle();
    redraw();
  }, { passive: false });
  return settle;
}

// A picture with its name and groups beside its place.
function carding(card, data, words) {
  const fill = (i) => {
    const image = element("img", { src: data.thumbs + data.ids[i], alt: "", decoding: "async", draggable: "false" });
    const box = element("span", { class: "frame" }, image);
    image.onerror = () => box.replaceChildren(element("span", { text: "No preview" }));
    card.replaceChildren(box, element("span", { class: "name", text: data.names[i] }),
      ...(words(i) ? [element("span", { class: "group", text: words(i) })] : []));
    card.dataset.id = data.ids[i];
  };
  return (i, [x, y], { width, height }, gap) => {
    card.hidden = i < 0;
    if (i < 0) return;
    if (card.dataset.id !== String(data.ids[i])) fill(i);
    const wide = card.offsetWidth, high = card.offsetHeight;
    card.style.left = `${between(x + gap + wide > width - 6 ? x - gap - wide : x + gap, 6, width - wide - 6)}px`;
    card.style.top = `${between(y - high / 2, 6, height - high - 6)}px`;
  };
}

function keys(stage, { step, slide, acts }, signal) {
  const arrows = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  stage.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const way = arrows[event.key], act = acts[event.key];
    if (!way && !act) return;
    event.preventDefault();
    if (act) act();
    else if (event.shiftKey) slide(way);
    else step(way);
  }, { signal });
}

// What is in sight, which of it is pointed at or gone to, and what follows from either.
function sights(root, stage, data, state) {
  const canvas = element("canvas", { "aria-hidden": "true" });
  const card = element("div", { class: "card", "aria-hidden": "true", hidden: "" });
  const said = element("p", { class: "said", role: "status" });
  const go = element("button", { type: "button", class: "go", text: "Search by this picture", hidden: "" });
  stage.append(canvas, card);
  const eye = camera(data, state.view, state.size);
  const pictures = thumbnails(data.thumbs, () => redraw());
  const paint = painter(canvas, root, data, state, eye, pictures);
  const words = (i) => data.groupings.map((grouping) => grouping.labels[grouping.of[i]]).join(", ");
  const show = carding(card, data, words);
  // Shuffled, the same way each time: in the order of ids, what was indexed last would hide the rest.
  const mix = (i) => Math.imul(i + 1, 2654435761) >>> 0;
  const order = data.ids.map((_, i) => i).sort((i, j) => mix(i) - mix(j));
  let frame = 0, seen = [];
  const half = () => root.dataset.drawn === "pictures" ? state.side(seen.length) / 2 : 0;
  const redraw = () => { frame ||= requestAnimationFrame(draw); };

  function draw() {
    frame = 0;
    const { width, height } = state.size, edge = 20;
    // On its way out, with the page that is left, it has neither size nor style.
    if (!root.isConnected || !width || !height) return;
    seen = order.filter((i) => {
      const [x, y] = eye.screen(i);
      return x > -edge && y > -edge && x < width + edge && y < height + edge;
    });
    paint(seen);
    const i = state.hovered >= 0 ? state.hovered : isSeen() ? state.chosen : -1;
    show(i, i < 0 ? [0, 0] : eye.screen(i), state.size, 14 + half());
  }

  const isSeen = () => seen.includes(state.chosen);
  const isDim = (i) => state.only >= 0 && data.groupings[state.by].of[i] !== state.only;
  function nearest(x, y, reach) {
    let best = -1, least = Math.max(reach, half());
    for (const i of seen) {
      const [px, py] = eye.screen(i), far = Math.max(Math.abs(px - x), Math.abs(py - y));
      if (far < least && !isDim(i)) [best, least] = [i, far];
    }
    return best;
  }

  function goTo(i) {
    if (i < 0) return;
    Object.assign(state, { chosen: i, hovered: -1 });
    const [x, y] = eye.screen(i), { width, height } = state.size;
    if (x < MARGIN || y < MARGIN || x > width - MARGIN || y > height - MARGIN) eye.move(width / 2 - x, height / 2 - y);
    said.textContent = [data.names[i], words(i)].filter(Boolean).join(", ");
    go.hidden = false;
    redraw();
  }

  function hover(x, y) {
    const i = nearest(x, y, REACH);
    stage.classList.toggle("over", i >= 0);
    if (i === state.hovered) return;
    state.hovered = i;
    redraw();
  }

  const stop = () => { pictures.stop(); cancelAnimationFrame(frame); };
  return { eye, said, go, draw, redraw, nearest, goTo, hover, isSeen, isDim, stop };
}

function scatter(root, data, choose, signal) {
  const state = kept.get(data.token) ?? { view: {}, chosen: -1, by: 0, only: -1 };
  kept.set(data.token, state);
  Object.assign(state, { hovered: -1, size: { width: 300, height: 300 }, inked: () => {},
    side: (count) => between(Math.sqrt(state.size.width * state.size.height / count) * 0.6, 40, 110) });
  const stage = element("div", { class: "stage", tabindex: "0", role: "application", "aria-label": data.label,
    "aria-describedby": "hint" });
  const sight = sights(root, stage, data, state);
  const { eye, said, go, draw, redraw, nearest, goTo, hover, isSeen, isDim, stop } = sight;
  const middle = () => [state.size.width / 2, state.size.height / 2];
  const search = (i) => {
    if (i < 0) return;
    state.chosen = i;
    root.classList.add("busy");
    setTimeout(() => root.classList.remove("busy"), 4000);
    choose(data.ids[i]);
  };
  // A finger hides what it points at: its first tap shows the picture, the second one searches.
  const tap = (x, y, finger) => {
    const i = nearest(x, y, finger ? 2 * REACH : REACH);
    if (finger && i !== state.chosen) goTo(i); else search(i);
  };
  const settle = pointing(stage, eye, { hover, tap, redraw }, signal);
  const look = (act) => () => { act(); settle(); redraw(); };
  const nearer = look(() => eye.zoom(STEP, ...(isSeen() ? eye.screen(state.chosen) : middle())));
  const farther = look(() => eye.zoom(1 / STEP, ...(isSeen() ? eye.screen(state.chosen) : middle())));
  const all = look(eye.reset), byChosen = () => search(state.chosen);
  keys(stage, {
    step: (way) => goTo(isSeen() ? neighbour(data, state.chosen, way, isDim) : nearest(...middle(), Infinity)),
    slide: ([x, y]) => look(() => eye.move(-x * 80, y * 80))(),
    acts: { "+": nearer, "=": nearer, "-": farther, "0": all, Home: all, Enter: byChosen, " ": byChosen },
  }, signal);
  go.onclick = byChosen;
  const button = (text, name, onclick) => element("button", { type: "button", text, title: name, "aria-label": name, onclick });
  root.replaceChildren(...legend(data, state, redraw),
    element("div", { class: "field" }, stage, element("div", { class: "buttons" },
      button("+", "Zoom in", nearer), button("−", "Zoom out", farther), button("All", "Show all", all))),
    element("div", { class: "line" }, said, go), element("p", { id: "hint", class: "hint", text: HINT }));
  const sized = new ResizeObserver(([entry]) => {
    Object.assign(state.size, { width: entry.contentRect.width, height: entry.contentRect.height });
    // Within the frame that is being made, or the map would flash.
    draw();
  });
  sized.observe(stage);
  root.addEventListener("transitionend", redraw, { signal }); // of the ground, when light turns to dark
  signal.addEventListener("abort", () => { sized.disconnect(); stop(); });
  if (state.chosen >= 0) goTo(state.chosen);
  return stage;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  const focused = root.getRootNode().activeElement?.classList.contains("stage");
  lives.get(root)?.abort();
  const life = new AbortController();
  lives.set(root, life);
  root.classList.remove("busy");
  const stage = scatter(root, data, (id) => setTriggerValue("chosen", id), life.signal);
  if (focused) stage.focus({ preventScroll: true });
  return () => life.abort();
}
