// Pictures in rows. A click or Enter searches by one, arrow keys go from one to the next, "…" tells more of it.
// All text comes as data and goes in as textContent.
const lives = new WeakMap();
let keyboard = false; // the last act was done with the keyboard, so that the focus goes on to the new pictures

function picture(address, className) {
  const image = element("img", { src: address, alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  const frame = element("span", { class: className }, image);
  image.onerror = () => frame.replaceChildren(element("span", { class: "none", text: "No preview" }));
  return frame;
}

// An act that leads to other pictures dims those that are there until they come.
function doing(root, data, setTriggerValue) {
  return (what, id = 0) => {
    if (what !== "folder") {
      root.classList.add("busy");
      setTimeout(() => root.classList.remove("busy"), 4000);
    }
    setTriggerValue("done", { what, id });
  };
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "The browser does not allow it";
  }
  setTimeout(() => { button.textContent = before; }, 1600);
}

function card(tile, data, act, about) {
  const pick = element("button", {
    type: "button", class: "pick", tabindex: "-1", title: tile.path,
    "aria-label": tile.score ? `Search by ${tile.name}, score ${tile.score}` : `Search by ${tile.name}`,
    onclick: (event) => { keyboard = event.detail === 0; act("search", tile.id); },
  }, picture(tile.src, "frame"));
  const quick = element("div", { class: "quick" });
  if (data.refine) {
    for (const [what, sign, words] of [["plus", "+", "More like"], ["minus", "−", "Less like"]]) {
      quick.append(element("button", {
        type: "button", class: what, tabindex: "-1", text: sign, title: `${words} this`,
        "aria-label": `${words} ${tile.name}`, onclick: () => act(what, tile.id),
      }));
    }
  }
  const more = element("button", {
    type: "button", class: "more", tabindex: "-1", text: "⋯", title: "Facts, path, copies",
    "aria-label": `About ${tile.name}`, onclick: () => about(tile),
  });
  const line = element("div", { class: "line" }, element("span", { class: "name", text: tile.name, title: tile.path }));
  if (tile.score) line.append(element("span", { class: "score", text: tile.score, title: "Score: 1 is the same" }));
  line.append(more);
  return element("li", { "data-id": tile.id }, element("div", { class: "top" }, pick, quick), line);
}

// What made a picture and one of the examples alike, in place of the picture in its panel.
async function explained(place, tile, data, asked, still) {
  place.replaceChildren(element("p", { class: "wait", role: "status",
    text: "Looking at both pictures… The first time takes some seconds." }));
  let told;
  try {
    const answer = await fetch(`${data.why}${encodeURIComponent(asked.token)}/${tile.id}`);
    told = await answer.json();
  } catch {
    told = { error: "The server did not answer. Try again." };
  }
  if (!still()) return;
  if (told.error) place.replaceChildren(element("p", { class: "wait", role: "alert", text: told.error }));
  else place.replaceChildren(heatViewer(told, [asked, { src: tile.large, name: tile.name }]));
}

// The panel about one picture; arrow keys go on to the next one.
function panel(data, act) {
  const dialog = element("dialog", { "aria-label": "About this picture" });
  let at = 0, why = null; // the example that the picture is compared with
  const show = (tile, focus = ".main") => {
    at = data.tiles.indexOf(tile);
    const close = element("button", { type: "button", class: "close", text: "✕", "aria-label": "Close",
      onclick: () => dialog.close() });
    const words = element("div", { class: "words" }, element("h2", { text: tile.name }));
    if (tile.score) words.append(element("p", { text: `Score ${tile.score}` }));
    if (tile.facts) words.append(element("p", { text: tile.facts }));
    words.append(element("p", { class: "path", text: tile.path }));
    if (tile.copies.length) {
      words.append(element("p", { text: "Files with the same bytes:" }),
        element("ul", {}, ...tile.copies.map((path) => element("li", { class: "path", text: path }))));
    }
    const button = (text, onclick, kind = "") => element("button", { type: "button", class: kind, text, onclick });
    const leave = (what) => () => { dialog.close(); act(what, tile.id); };
    const buttons = element("div", { class: "buttons" }, button("Search by this", leave("search"), "main"));
    if (data.refine) buttons.append(button("More like this", leave("plus")), button("Less like this", leave("minus")));
    buttons.append(button("Copy path", (event) => copy(tile.copied, event.currentTarget)));
    if (data.folder) buttons.append(button("Open folder", () => act("folder", tile.id)));
    if (tile.score && data.why) {
      const compare = button(why ? "Only the picture" : "Why alike?", () => {
        why = why ? null : data.asked[0];
        show(tile, ".compare");
      }, "compare");
      buttons.append(compare);
    }
    words.append(buttons);
    const large = why ? element("div", { class: "whys" }, element("h2", { text: "Why alike?" }))
      : picture(tile.large, "large");
    dialog.classList.toggle("wide", Boolean(why));
    dialog.replaceChildren(close, large, words);
    if (why) {
      const now = element("div");
      if (data.asked.length > 1) large.append(choice(tile));
      large.append(now);
      explained(now, tile, data, why, () => now.isConnected);
    }
    if (!dialog.open) dialog.showModal();
    dialog.querySelector(focus).focus();
  };
  function choice(tile) {
    const select = element("select", {}, ...data.asked.map((asked, i) =>
      element("option", { value: i, selected: asked === why, text: asked.name })));
    select.onkeydown = (event) => event.stopPropagation();
    select.onchange = () => { why = data.asked[select.value]; show(tile, "select"); };
    return element("label", {}, "Compared with ", select);
  }
  dialog.onclose = () => { why = null; };
  dialog.onclick = (event) => { if (event.target === dialog) dialog.close(); };
  dialog.onkeydown = (event) => {
    event.stopPropagation();
    const tile = data.tiles[at + ({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? NaN)];
    if (tile) show(tile, why ? ".compare" : ".main");
  };
  return { dialog, show };
}

function typing(event) {
  const at = event.composedPath()[0];
  return at instanceof HTMLElement && (at.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(at.tagName));
}

// One picture of all can be reached by Tab: the one that was last gone to.
function roving(list) {
  const cards = [...list.children];
  const choose = (chosen) => {
    for (const item of cards) {
      for (const button of item.querySelectorAll("button")) button.tabIndex = item === chosen ? 0 : -1;
    }
  };
  if (cards.length) choose(cards[0]);
  list.addEventListener("focusin", (event) => choose(event.target.closest("li")));
  list.addEventListener("keydown", (event) => {
    const at = cards.indexOf(event.target.closest("li"));
    const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    const next = { Home: 0, End: cards.length - 1 }[event.key] ?? at + (steps[event.key] ?? NaN);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey || !cards[next]) return;
    event.preventDefault();
    cards[next].querySelector(".pick").focus();
  });
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  lives.get(root)?.abort();
  const life = new AbortController();
  lives.set(root, life);
  const act = doing(root, data, setTriggerValue);
  const { dialog, show } = panel(data, act);
  const list = element("ol", { "aria-label": data.label });
  list.append(...data.tiles.map((tile) => card(tile, data, act, show)));
  roving(list);
  const others = root.dataset.token !== data.token;
  root.dataset.token = data.token;
  root.classList.remove("busy");
  root.replaceChildren(list, dialog);
  if (others) {
    document.querySelector('[data-testid="stMain"]')?.scrollTo({ top: 0 });
    if (keyboard) list.querySelector(".pick")?.focus({ preventScroll: true });
    keyboard = false;
  }
  if (data.back) {
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented || typing(event)) return;
      if (dialog.open || document.querySelector("[role=dialog], [role=listbox]")) return;
      keyboard = list.contains(event.composedPath()[0]);
      act("back");
    }, { signal: life.signal });
  }
  return () => life.abort();
}
