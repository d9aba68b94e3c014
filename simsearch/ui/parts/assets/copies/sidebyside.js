// One group: what is kept (A) beside another member (B), flickering in one place or as their difference.
const PERIOD = 700;
const MODES = [["side", "Side by side", "S"], ["flicker", "Flicker", "F"], ["difference", "Difference", "D"]];
const VISIBLE = 12; // of 255: what differs by less is noise of JPEG
const still = matchMedia("(prefers-reduced-motion: reduce)");

// Outlives a part that is mounted anew.
const kept = { mode: "side", strength: "4", listening: true, open: false };
const waiting = [];
let last = 0;
const pictures = new Map();

function button(id, text, key, onclick, facts = {}) {
  const made = element("button", { type: "button", "data-id": id, onclick, ...facts }, element("span", { text }));
  if (key) made.append(element("kbd", { text: key, "aria-hidden": "true" }));
  return made;
}

function loaded(src) {
  if (!pictures.has(src)) {
    const image = new Image();
    const known = new Promise((done) => {
      image.onload = () => done(image);
      image.onerror = () => done(null);
    });
    image.src = src;
    pictures.set(src, known);
    if (pictures.size > 40) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(src);
}

class Desk {
  constructor(root) {
    this.root = root;
    this.zoom = { scale: 1, x: 0, y: 0 };
    this.fingers = new Map();
    this.onkey = (event) => this.key(event);
    this.onkeyup = (event) => this.released(event);
    this.onblur = () => this.hold(false);
    this.head = element("div", { class: "head" });
    this.status = element("p", { class: "status", role: "status" });
    this.why = element("p", { class: "why" });
    this.tools = element("div", { class: "tools", role: "group", "aria-label": "How the pictures are shown" });
    this.stage = element("div", { class: "stage" });
    this.measure = element("p", { class: "measure", role: "status" });
    this.member = element("div", { class: "member", role: "group", "aria-label": "What becomes of picture B" });
    this.actions = element("div", { class: "actions", role: "group", "aria-label": "What becomes of the group" });
    this.facts = element("table", { class: "facts" });
    this.members = element("ol", { class: "members", "aria-label": "All pictures of this group" });
    this.more = element("div", { class: "more" });
    this.keys = element("details", { class: "keys" });
    this.keys.ontoggle = () => { kept.open = this.keys.open; };
    root.replaceChildren(this.head, this.status, this.why, this.tools, this.stage, this.measure, this.member,
      this.facts, this.members, this.more, this.keys, this.actions);
  }

  show(data, tell) {
    const before = this.data;
    const fresh = !before || before.key !== data.key;
    this.data = data;
    this.tell = tell;
    while (waiting.length && waiting[0].n <= data.heard) waiting.shift();
    last = Math.max(last, data.heard);
    const keeper = data.members.find((member) => member.role === "kept") ?? data.members[0];
    if (fresh) {
      this.number = null;
      this.zoom = { scale: 1, x: 0, y: 0 };
    } else if (this.number === keeper.number) {
      // What was kept before is what the new one is held against.
      this.number = this.keeper?.number;
    }
    this.keeper = keeper;
    this.others = data.members.filter((member) => member !== keeper);
    if (!this.others.some((member) => member.number === this.number)) this.number = this.others[0]?.number;
    this.root.removeAttribute("data-busy");
    this.keepFocus(() => this.draw());
    // What was chosen in the list is gone from the page, and the keyboard would be nowhere.
    if (fresh && document.activeElement === document.body) this.head.querySelector("h2").focus({ preventScroll: true });
    // Whoever comes from far down the list begins with the pictures.
    if (fresh) requestAnimationFrame(() => {
      if (this.root.getBoundingClientRect().top < 0) this.root.scrollIntoView({ block: "start" });
    });
    for (const src of data.ahead ?? []) loaded(src);
    this.listen();
  }

  get other() {
    return this.others.find((member) => member.number === this.number);
  }

  get mode() {
    return this.holding && kept.mode === "side" ? "flicker" : kept.mode;
  }

  listen() {
    this.leave();
    document.addEventListener("keydown", this.onkey);
    document.addEventListener("keyup", this.onkeyup);
    addEventListener("blur", this.onblur);
  }

  leave() {
    document.removeEventListener("keydown", this.onkey);
    document.removeEventListener("keyup", this.onkeyup);
    removeEventListener("blur", this.onblur);
    clearInterval(this.timer);
  }

  send(what, member) {
    last = Math.max(Date.now(), last + 1);
    waiting.push({ n: last, key: this.data.key, what, ...(member === undefined ? {} : { member }) });
    this.tell("acts", waiting.slice());
    this.root.setAttribute("data-busy", "");
  }

  draw() {
    const data = this.data;
    const navigation = data.navigation ?? true;
    this.head.replaceChildren(element("h2", { text: data.title, tabindex: "-1", "data-id": "title" }));
    if (navigation) {
      this.head.prepend(button("list", "All groups", "Esc", () => this.send("list"), { class: "quiet" }));
      this.head.append(element("span", { class: "turn" },
        button("previous", "Previous", "K", () => this.send("previous")),
        button("next", "Next", "J", () => this.send("next"))));
    }
    this.status.textContent = data.status;
    this.status.toggleAttribute("data-decided", data.decided);
    this.why.textContent = data.why;
    this.actions.replaceChildren(...data.buttons.map((each) => button(each.what, each.words, each.key,
      () => this.send(each.what), { class: each.main ? "main" : null, disabled: each.disabled, title: each.help })));
    this.drawTools();
    this.drawPair();
    this.drawMembers();
    this.drawKeys();
  }

  drawTools() {
    const modes = MODES.map(([mode, words, key]) => button(`mode-${mode}`, words, key, () => this.choose(mode),
      { "aria-pressed": String(kept.mode === mode) }));
    const strength = element("select", { "aria-label": "Strength of the difference", "data-id": "strength" },
      ...[["1", "as it is"], ["4", "4 times as strong"], ["16", "16 times as strong"]].map(([value, text]) =>
        element("option", { value, text, selected: value === kept.strength })));
    strength.onchange = () => { kept.strength = strength.value; this.dim(); };
    strength.hidden = kept.mode !== "difference";
    this.percent = element("output", { text: "" });
    this.tools.replaceChildren(...modes, strength, element("span", { class: "zoom" },
      button("smaller", "−", "", () => this.zoomBy(1 / 1.5), { "aria-label": "Zoom out" }), this.percent,
      button("larger", "+", "", () => this.zoomBy(1.5), { "aria-label": "Zoom in" }),
      button("whole", "Fit", "0", () => this.place({ scale: 1, x: 0, y: 0 }))));
  }

  choose(mode) {
    kept.mode = mode;
    this.keepFocus(() => { this.drawTools(); this.drawPair(); });
  }

  // What has the keyboard keeps it, though it is made anew.
  keepFocus(draw) {
    const held = this.root.getRootNode().activeElement?.dataset?.id;
    draw();
    if (held) this.root.querySelector(`[data-id="${held}"]`)?.focus({ preventScroll: true });
  }

  focusOn(number) {
    if (number === this.keeper.number) {
      this.status.textContent = `Picture ${number} is the one that is kept. Choose another to hold against it.`;
      return;
    }
    this.number = number;
    this.keepFocus(() => this.drawPair());
    for (const each of this.members.querySelectorAll("button")) {
      each.setAttribute("aria-pressed", String(Number(each.dataset.number) === number));
    }
  }

  // The two pictures, their facts, and what can be said of the second.
  drawPair() {
    const [one, two] = [this.keeper, this.other];
    this.drawStage(one, two);
    this.drawFacts(one, two);
    this.member.replaceChildren();
    this.member.hidden = !two || !this.data.deciding;
    if (this.member.hidden) return;
    const stays = two.role === "stays";
    const all = two.role === "unsure" || this.keeper.role !== "kept";
    this.member.append(element("span", { class: "about", text: `B, picture ${two.number}:` }),
      button("keep", "Keep this one instead", two.number < 10 ? String(two.number) : "",
        () => this.send("keep", two.number)),
      button("stay", stays ? "Set it aside after all" : "Let it stay too", "X",
        () => this.send("stay", two.number), { disabled: all, "aria-pressed": String(stays) }),
      button("other", two.role === "other" ? "It is the same picture after all" : "It is another picture", "O",
        () => this.send("other", two.number), { disabled: !two.other || this.keeper.role !== "kept" }));
    if (two.reason) this.member.append(element("span", { class: "reason", text: `Stays: ${two.reason}.` }));
  }

  caption(letter, member) {
    const chip = this.data.deciding ? element("span", { class: "chip", "data-role": member.role, text: member.chip }) : "";
    return element("figcaption", {}, element("b", { text: letter }), chip, element("bdi", { class: "name", text: member.name }),
      element("span", { class: "level", text: member.level }));
  }

  pane(...inside) {
    const view = element("div", { class: "view", tabindex: "-1" }, element("div", { class: "content" }, ...inside));
    view.onwheel = (event) => this.wheel(event, view);
    view.ondblclick = (event) => this.zoomAt(event, view, this.zoom.scale > 1 ? 1 / this.zoom.scale : 2.5);
    view.onpointerdown = (event) => this.down(event, view);
    view.onpointermove = (event) => this.move(event, view);
    view.onpointerup = view.onpointercancel = (event) => this.fingers.delete(event.pointerId);
    return view;
  }

  picture(member, letter) {
    if (!member.picture) return element("p", { class: "none", text: "No preview of it is there." });
    const image = element("img", { src: member.picture, alt: `${letter}: ${member.name}`, draggable: "false" });
    image.onerror = () => image.replaceWith(element("p", { class: "none", text: "No preview of it is there." }));
    return image;
  }

  drawStage(one, two) {
    clearInterval(this.timer);
    this.measure.textContent = "";
    this.drawn = {};
    const mode = two ? this.mode : "side";
    this.stage.dataset.mode = mode;
    if (mode === "side") {
      const panes = [["A", one], ["B", two]].filter(([, member]) => member);
      this.stage.replaceChildren(...panes.map(([letter, member]) =>
        element("figure", {}, this.pane(this.picture(member, letter)), this.caption(letter, member))));
      this.place(this.zoom);
      return;
    }
    if (this.data.lays[two.number] === undefined && !this.asked?.has(this.pairName(two))) {
      this.asked = (this.asked ?? new Set()).add(this.pairName(two));
      this.send("lay", two.number);
    }
    this.together(mode, one, two, this.drawn);
  }

  pairName(two) {
    return `${this.data.key} ${this.keeper.number} ${two.number}`;
  }

  // Both in one place: B is laid on A as it was cropped, turned or mirrored.
  async together(mode, one, two, drawn) {
    const [first, second] = await Promise.all([one, two].map((member) => member.picture ? loaded(member.picture) : null));
    if (drawn !== this.drawn) return;
    if (!first || !second) {
      this.stage.replaceChildren(element("p", { class: "none", text: "One of the two has no preview." }));
      return;
    }
    const lay = this.data.lays[two.number] ?? [1, 0, 0, 0, 1, 0];
    const [width, height] = [first.naturalWidth, first.naturalHeight];
    const on = (canvas, paint) => {
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      const [a, b, c, d, e, f] = lay;
      context.setTransform(a * width, d * height, b * width, e * height, c * width, f * height);
      paint(context);
      context.setTransform(1, 0, 0, 1, 0, 0);
      return context;
    };
    const canvas = (label) => element("canvas", { width, height, role: "img", "aria-label": label });
    if (mode === "difference") {
      const made = canvas(`The difference of ${one.name} and ${two.name}`);
      made.className = "difference";
      made.getContext("2d").drawImage(first, 0, 0, width, height);
      on(made, (context) => {
        context.globalCompositeOperation = "difference";
        context.drawImage(second, 0, 0, 1, 1);
        context.globalCompositeOperation = "destination-in";
        context.fillRect(0, 0, 1, 1);
      });
      this.stage.replaceChildren(element("figure", {}, this.pane(made),
        element("figcaption", {}, element("span", { text: "Black is equal; what is bright differs." }))));
      this.dim();
      this.measure.textContent = measured(made);
    } else {
      const under = canvas(`A: ${one.name}`);
      under.getContext("2d").drawImage(first, 0, 0, width, height);
      const over = canvas(`B: ${two.name}, laid on A`);
      on(over, (context) => context.drawImage(second, 0, 0, 1, 1));
      const captions = [this.caption("A", one), this.caption("B", two)];
      const figure = element("figure", {}, this.pane(under, over), ...captions);
      this.stage.replaceChildren(figure);
      const turn = (which) => {
        over.hidden = captions[1].hidden = !which;
        under.hidden = captions[0].hidden = which;
      };
      this.turn = (which) => turn(which);
      turn(Boolean(this.holding));
      if (!still.matches && !this.holding) this.timer = setInterval(() => turn(over.hidden), PERIOD);
    }
    this.place(this.zoom);
  }

  dim() {
    const made = this.stage.querySelector(".difference");
    if (made) made.style.filter = `brightness(${kept.strength})`;
  }

  drawFacts(one, two) {
    const head = element("tr", {}, element("td"), element("th", { scope: "col", text: "A" }));
    if (two) head.append(element("th", { scope: "col", text: "B" }));
    const rows = this.data.labels.map((label, at) => {
      const row = element("tr", {}, element("th", { scope: "row", text: label }));
      const differs = two && one.facts[at] !== two.facts[at];
      for (const member of two ? [one, two] : [one]) {
        const cell = element("td", { class: differs ? "differs" : null }, element("bdi", { text: member.facts[at] }));
        if (differs && member === two) cell.prepend(element("span", { class: "sign", text: "≠ ", title: "differs" }));
        row.append(cell);
      }
      return row;
    });
    this.facts.replaceChildren(element("caption", { text: "What is known of both; what differs is bold" }),
      element("thead", {}, head), element("tbody", {}, ...rows));
  }

  drawMembers() {
    const data = this.data;
    this.members.hidden = data.members.length < 3 && data.total < 3;
    this.members.replaceChildren(...data.members.map((member) => {
      const pick = element("button", { type: "button", "data-id": `pick-${member.number}`, "data-number": member.number,
        "aria-pressed": String(member.number === this.number), title: member.facts.at(-1),
        "aria-label": `Picture ${member.number}: ${member.name}, ${member.chip}`,
        onclick: () => this.focusOn(member.number) },
      element("div", { class: "frame" }, member.thumb ? element("img", { src: member.thumb, alt: "" }) : ""),
      element("div", { class: "line" }, element("b", { text: member.number }),
        element("span", { class: "chip", "data-role": member.role, text: member.chip })),
      element("bdi", { class: "name", text: member.name }),
      element("div", { class: "small", text: `${member.facts[0]}, ${member.facts[1].split(" (")[0]}` }));
      return element("li", { "data-role": member.role }, pick);
    }));
    this.more.hidden = data.total <= data.shown;
    this.more.replaceChildren(
      button("fewer", "Earlier ones", "", () => this.send("fewer"), { disabled: data.first === 0 }),
      element("span", { text: `${data.first + 1} to ${Math.min(data.total, data.first + data.shown)} of ${data.total}` }),
      button("more", "Later ones", "", () => this.send("more"), { disabled: data.first + data.shown >= data.total }));
  }

  drawKeys() {
    const rows = [...this.data.buttons.filter((each) => each.key).map((each) => [each.key, each.help || each.words])];
    if (this.data.deciding) {
      rows.push(["1 to 9", "Keep the picture with this number"], ["X", "Let B stay, or set it aside after all"],
        ["O", "B is another picture"]);
    }
    if (this.data.navigation ?? true) rows.push(["J, K", "Next and previous group"], ["Esc", "All groups"]);
    if (this.others.length > 1) rows.push(["← →", "Other pictures of the group as B"]);
    rows.push(["S, F, D", "Side by side, flicker, difference"], ["Space", "Hold it: B in the place of A"],
      ["+ − 0", "Zoom in, out, fit"], ["?", "This table"]);
    const listening = element("input", { type: "checkbox", "data-id": "listening" });
    listening.checked = kept.listening;
    listening.onchange = () => { kept.listening = listening.checked; };
    this.keys.open = kept.open;
    this.keys.replaceChildren(element("summary", { "data-id": "keys" }, element("span", { text: "Keys" }), element("kbd", { text: "?", "aria-hidden": "true" })),
      element("dl", {}, ...rows.flatMap(([key, words]) => [element("dt", {}, element("kbd", { text: key })), element("dd", { text: words })])),
      element("label", {}, listening, element("span", { text: "Single keys do something" })));
  }

  // Zoom: one for all panes, in shares of a pane.
  place({ scale, x, y }) {
    scale = Math.min(16, Math.max(1, scale));
    this.zoom = { scale, x: Math.min(0, Math.max(1 - scale, x)), y: Math.min(0, Math.max(1 - scale, y)) };
    for (const view of this.stage.querySelectorAll(".view")) {
      const { scale: s, x: left, y: top } = this.zoom;
      view.firstElementChild.style.transform = `translate(${left * 100}%, ${top * 100}%) scale(${s})`;
      view.toggleAttribute("data-zoomed", s > 1);
    }
    this.percent.textContent = `${Math.round(this.zoom.scale * 100)} %`;
  }

  zoomBy(factor, u = 0.5, v = 0.5) {
    const { scale, x, y } = this.zoom;
    const next = Math.min(16, Math.max(1, scale * factor));
    this.place({ scale: next, x: u - (u - x) * next / scale, y: v - (v - y) * next / scale });
  }

  zoomAt(event, view, factor) {
    const box = view.getBoundingClientRect();
    this.zoomBy(factor, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }

  wheel(event, view) {
    // At rest the wheel scrolls the page.
    if (!event.ctrlKey && this.zoom.scale === 1) return;
    event.preventDefault();
    this.zoomAt(event, view, Math.exp(-event.deltaY * 0.002));
  }

  down(event, view) {
    view.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
  }

  move(event, view) {
    if (!this.fingers.has(event.pointerId)) return;
    const box = view.getBoundingClientRect();
    const before = this.fingers.get(event.pointerId);
    const now = [event.clientX, event.clientY];
    if (this.fingers.size === 2) {
      const [still] = [...this.fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (place) => Math.max(1, Math.hypot(place[0] - still[0], place[1] - still[1]));
      this.zoomBy(apart(now) / apart(before), ((now[0] + still[0]) / 2 - box.left) / box.width,
        ((now[1] + still[1]) / 2 - box.top) / box.height);
    } else if (this.zoom.scale > 1) {
      const { scale, x, y } = this.zoom;
      this.place({ scale, x: x + (now[0] - before[0]) / box.width, y: y + (now[1] - before[1]) / box.height });
    }
    this.fingers.set(event.pointerId, now);
  }

  hold(on) {
    if (Boolean(this.holding) === on || !this.other) return;
    this.holding = on;
    this.keepFocus(() => this.drawPair());
  }

  key(event) {
    const target = event.composedPath()[0];
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !this.root.isConnected) return;
    if (target.closest?.("input, textarea, select, [contenteditable=true], [role=combobox], [role=dialog]")) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const on = { Escape: "list", j: "next", k: "previous" };
    const press = (id) => this.root.querySelector(`button[data-id="${id}"]:not([disabled])`)?.click();
    let done = true;
    if (!kept.listening && event.key.length === 1) done = false;
    else if (key === " " && target.closest?.("button, summary, a")) done = false;
    else if (key === " ") this.hold(true);
    else if (key === "ArrowRight" || key === "ArrowLeft") this.step(key === "ArrowRight" ? 1 : -1);
    else if (event.repeat) done = false;
    else if (on[key] && (this.data.navigation ?? true)) press(on[key]);
    else if (this.data.buttons.some((each) => each.key?.toLowerCase() === key)) {
      press(this.data.buttons.find((each) => each.key?.toLowerCase() === key).what);
    } else if (MODES.some(([, , own]) => own.toLowerCase() === key)) {
      const mode = MODES.find(([, , own]) => own.toLowerCase() === key)[0];
      this.choose(mode === kept.mode ? "side" : mode);
    } else if (this.data.deciding && /^[1-9]$/.test(key)) {
      if (this.others.some((member) => member.number === Number(key))) this.send("keep", Number(key));
    } else if (this.data.deciding && key === "x") press("stay");
    else if (this.data.deciding && key === "o") press("other");
    else if (key === "+" || key === "=") this.zoomBy(1.5);
    else if (key === "-") this.zoomBy(1 / 1.5);
    else if (key === "0") this.place({ scale: 1, x: 0, y: 0 });
    else if (key === "?") this.keys.open = !this.keys.open;
    else done = false;
    if (done) event.preventDefault();
  }

  released(event) {
    if (event.key === " ") this.hold(false);
  }

  step(by) {
    if (this.others.length < 2) return;
    const at = this.others.findIndex((member) => member.number === this.number);
    this.focusOn(this.others[(at + by + this.others.length) % this.others.length].number);
  }
}

// How much differs where both show something, in words.
function measured(canvas) {
  const small = document.createElement("canvas");
  small.width = Math.min(256, canvas.width);
  small.height = Math.max(1, Math.round(canvas.height * small.width / canvas.width));
  const context = small.getContext("2d", { willReadFrequently: true });
  context.drawImage(canvas, 0, 0, small.width, small.height);
  const values = context.getImageData(0, 0, small.width, small.height).data;
  let [covered, sum, seen] = [0, 0, 0];
  for (let at = 0; at < values.length; at += 4) {
    if (values[at + 3] < 250) continue;
    const most = Math.max(values[at], values[at + 1], values[at + 2]);
    covered += 1;
    sum += most;
    seen += most > VISIBLE;
  }
  if (!covered) return "The two have no place in common.";
  const share = covered * 4 / values.length;
  const part = share < 0.985 ? ` B shows ${Math.round(share * 100)} % of A.` : "";
  if (sum / covered < 0.5) return `The two look the same, place by place.${part}`;
  return `${(seen * 100 / covered).toFixed(seen / covered < 0.1 ? 1 : 0)} % of what both show differs visibly, `
    + `by ${(sum / covered).toFixed(1)} of 255 on average.${part}`;
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".part");
  root.desk ??= new Desk(root);
  root.desk.show(data, setStateValue);
  return () => root.desk.leave();
}
