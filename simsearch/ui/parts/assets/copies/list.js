// Groups of copies, one below the other; a click or Enter opens one, the arrow keys go from one to the next.
// The group that was looked at, to come back to.
let opened = null;

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  const list = element("ol");
  for (const row of data.rows) {
    const button = element("button");
    button.type = "button";
    const strip = element("span", { class: "strip" });
    for (const src of row.thumbs) {
      const frame = element("span", { class: "frame" });
      if (src) {
        const image = element("img");
        image.src = src;
        image.alt = "";
        image.loading = "lazy";
        frame.append(image);
      }
      strip.append(frame);
    }
    if (row.more) strip.append(element("span", { class: "rest", text: `+ ${row.more}` }));
    const about = element("span", { class: "about" });
    const line = element("span", { class: "line" });
    line.append(element("b", { text: row.title }), element("span", { text: row.facts }));
    const keep = element("span", { class: "soft" });
    keep.append(element("bdi", { text: row.keep }));
    about.append(line, keep, element("span", { class: "soft", text: row.why }));
    if (row.status) about.append(element("span", { class: "status", text: row.status }));
    button.append(strip, about);
    button.dataset.key = row.key;
    button.onclick = () => {
      opened = row.key;
      setTriggerValue("opened", row.key);
    };
    const entry = element("li");
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
