// Stands before the script of every part: makes an element with text, listeners, attributes and what is in it.
function element(kind, facts = {}, ...inside) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(facts)) {
    if (name === "text") made.textContent = value;
    else if (name.startsWith("on")) made[name] = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...inside);
  return made;
}

