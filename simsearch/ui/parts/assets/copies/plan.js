// What happens to files, group by group.
function el(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text) made.textContent = text;
  return made;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".part");
  root.replaceChildren(...data.groups.map((group) => {
    const section = el("section");
    const list = el("ul");
    for (const row of group.rows) {
      const entry = el("li", row.kind);
      const words = el("span", "words");
      const path = el("bdi", "path", row.path);
      words.append(path);
      if (row.note) words.append(el("span", "note", row.note));
      entry.append(el("span", "what", row.what), words);
      list.append(entry);
    }
    section.append(el("h3", "", group.title), list);
    return section;
  }));
}
