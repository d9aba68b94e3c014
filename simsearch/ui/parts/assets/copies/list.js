// Groups of copies, one below the other; a click or Enter opens one, the arrow keys go from one to the next.
function el(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

// The group that was looked at, to come back to.
let opened = null;

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  const list = el("ol");
  for (const row of data.rows) {
    const button = el("button");
    button.type = "button";
    const strip = el("span", "strip");
    for (const src of row.thumbs) {
      const frame = el("span", "frame");
      if (src) {
        const image = el("img");
        image.src = src;
        image.alt = "";
        image.loading = "lazy";
        frame.append(image);
      }
      strip.append(frame);
    }
    if (row.more) strip.append(el("span", "rest", `+ ${row.more}`));
    const about = el("span", "about");
    const line = el("span", "line");
    line.append(el("b", "", row.title), el("span", "", row.facts));
    const keep = el("span", "soft");
    keep.append(el("bdi", "", row.keep));
    about.append(line, keep, el("span", "soft", row.why));
    if (row.status) about.append(el("span", "status", row.status));
    button.append(strip, about);
    button.dataset.key = row.key;
    button.onclick = () => {
      opened = row.key;
      setTriggerValue("opened", row.key);
    };
    const entry = el("li");
    entry.append(button);
    list.append(entry);
  }
  list.onkeydown = (event) => {
    const buttons = [...list.querySelectorAll("button")];
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    const next = buttons[buttons.indexOf(event.target) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  const held = root.getRootNode().activeElement?.dataset?.key;
  root.replaceChildren(list);
  const back = held ?? (document.activeElement === document.body ? opened : null);
  if (back) list.querySelector(`[data-key="${back}"]`)?.focus();
  if (!held) opened = null;
}
