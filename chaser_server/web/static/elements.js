/** Elements made from words: text goes in as text, so that nothing in it can become markup. */
export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A cell of a table of records; `label` stands beside it where the table has no head. */
export function cell(label, ...children) {
  const element = el("td", {}, ...children);
  element.dataset.label = label;
  return element;
}
