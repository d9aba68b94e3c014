// A field that takes pictures: dropped anywhere on the page, pasted anywhere on it, or chosen. It sends them to the
// server one after another and tells the page under which ids they are held there.
const lives = new WeakMap();
const MOST_AT_ONCE = 8;

function size(bytes) {
  return `${Math.round(bytes / (1 << 20))} MiB`;
}

// Resolves to the id of the upload; rejects with words to be shown.
function send(file, data, told, signal) {
  return new Promise((resolve, reject) => {
    if (file.size > data.most) {
      reject(`${file.name || "That picture"} has ${size(file.size)}; a picture may have at most ${size(data.most)}.`);
      return;
    }
    const request = new XMLHttpRequest();
    request.open("POST", data.address);
    request.responseType = "json";
    request.setRequestHeader("X-Name", encodeURIComponent(file.name || "pasted picture"));
    request.upload.onprogress = (event) => {
      if (event.lengthComputable) told(event.loaded / event.total);
    };
    request.onload = () => {
      const answer = request.response ?? {};
      if (request.status === 200 && answer.upload) resolve(answer.upload);
      else reject(answer.error ?? `The server did not take ${file.name || "the picture"} (${request.status}).`);
    };
    request.onerror = () => reject("The picture could not be sent. Is simsearch still running? Load the page again.");
    request.onabort = () => reject("");
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

function built(data) {
  const input = element("input", { type: "file", multiple: "", accept: data.accept, "aria-describedby": "hint" });
  const choose = element("label", { class: "choose" }, input, data.slim ? "Another picture" : "Choose a picture");
  const hint = element("span", { id: "hint", class: "hint" });
  const touch = matchMedia("(hover: none)").matches;
  hint.textContent = touch ? "or paste one" : "or drop it anywhere on this page, or paste it (Ctrl+V)";
  const status = element("div", { class: "status", role: "status" });
  const bar = element("progress", { max: "1", "aria-label": "Sent so far", hidden: "" });
  const error = element("div", { class: "error", role: "alert" });
  const zone = element("div", { class: data.slim ? "zone slim" : "zone" }, choose, hint, status, bar);
  return { zone, input, status, bar, error };
}

function pictures(list) {
  return [...(list ?? [])].filter((file) => file.size || file.type);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  lives.get(root)?.abort();
  const life = new AbortController();
  lives.set(root, life);
  const { zone, input, status, bar, error } = built(data);
  root.replaceChildren(zone, error);
  let sending = false;

  async function give(files) {
    if (!files.length || sending) return;
    sending = true;
    error.textContent = "";
    const ids = [];
    try {
      for (const file of files.slice(0, MOST_AT_ONCE)) {
        status.textContent = `Sending ${file.name || "the pasted picture"}…`;
        bar.hidden = false;
        bar.value = 0;
        ids.push(await send(file, data, (part) => {
          bar.value = part;
          if (part === 1) status.textContent = `Reading ${file.name || "the pasted picture"}…`;
        }, life.signal));
      }
    } catch (words) {
      error.textContent = words instanceof Error ? words.message : words;
    }
    status.textContent = "";
    bar.hidden = true;
    input.value = "";
    sending = false;
    if (ids.length) setTriggerValue("given", ids);
  }

  const on = (kind, heard) => document.addEventListener(kind, heard, { signal: life.signal });
  const holdsFiles = (event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  input.onchange = () => give(pictures(input.files));
  on("paste", (event) => {
    const files = pictures(event.clipboardData?.files);
    if (!files.length) return;
    event.preventDefault();
    give(files);
  });
  on("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    root.classList.add("over");
  });
  on("dragleave", (event) => {
    if (!event.relatedTarget) root.classList.remove("over");
  });
  on("drop", (event) => {
    root.classList.remove("over");
    if (!holdsFiles(event)) return;
    event.preventDefault();
    give(pictures(event.dataTransfer.files));
  });
  return () => life.abort();
}
