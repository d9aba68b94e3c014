// What happens to files, group by group.
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".part");
  root.replaceChildren(...data.groups.map((group) => {
    const section = element("section");
    const list = element("ul");
    for (const row of group.rows) {
      const entry = element("li", { class: row.kind });
      const words = element("span", { class: "words" });
      const path = element("bdi", { class: "path", text: row.path });
      words.append(path);
      if (row.note) words.append(element("span", { class: "note", text: row.note }));
      entry.append(element("span", { class: "what", text: row.what }), words);
      list.append(entry);
    }
    section.append(element("h3", { text: group.title }), list);
    return section;
  }));
}
