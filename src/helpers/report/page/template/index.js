(() => {
  const find = (name) => document.getElementById(name);
  const box = find("filter"), field = find("words"), state = find("state"), count = box.querySelector("output");
  const rows = [...document.querySelectorAll("#series > li")].map((row) => {
    const marks = [...row.querySelectorAll("h3 .mark")].map((mark) => mark.lastChild.textContent.trim());
    return [row, row.textContent.toLowerCase(), marks, row.querySelector("a")];
  });
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const [row, text, marks] of rows) {
      row.hidden = !words.every((word) => text.includes(word)) || (state.value && !marks.includes(state.value));
      shown += !row.hidden;
    }
    count.textContent = count.dataset.text.replace("{number}", shown);
  };
  box.hidden = false;
  field.addEventListener("input", filter);
  state.addEventListener("change", filter);
  if (field.value || state.value) filter();
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], from = document.activeElement;
    const stops = [field, ...rows.filter(([row]) => !row.hidden).map(([, , , link]) => link)];
    const to = stops[stops.indexOf(from) + step];
    if (!step || !stops.includes(from) || !to) return;
    event.preventDefault();
    to.focus();
  });
  const age = find("age"), days = age && Math.floor((Date.now() - new Date(age.dataset.newest)) / 864e5);
  if (days > 0) age.textContent = ` (${age.dataset.text.replace("{number}", days)})`;
})();
