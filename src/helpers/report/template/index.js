(() => {
  const box = document.getElementById("filter"), field = box.querySelector("input"), count = box.querySelector("output");
  const rows = [...document.querySelectorAll("#series > li")].map((row) => [row, row.textContent.toLowerCase()]);
  box.hidden = false;
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/);
    let shown = 0;
    for (const [row, text] of rows) {
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    count.textContent = count.dataset.text.replace("{number}", shown);
  });
})();
