/** The reference page, made from /openapi.json. Knows OpenAPI as far as our own document uses it. */
import "./frame.js";

/** An element with text, elements or lists of them in it. */
function make(name, attributes = {}, ...inside) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside.flat().filter((each) => each !== null));
  return element;
}

/** `code` in a text as code. */
const prose = (text) => (text ?? "").split("`").map((part, index) => (index % 2 ? make("code", {}, part) : part));
const paragraphs = (text) => (text ?? "").split("\n\n").map((part) => make("p", {}, prose(part)));
const nameOf = (ref) => ref.split("/").at(-1);
const slug = (text) => text.toLowerCase().replaceAll(" ", "-");
const pretty = (value) => make("pre", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2));

/** What a value may be, in a few words. */
function kind(schema) {
  if (schema.$ref) return [make("a", { href: `#shape-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  if (schema.allOf) return kind(schema.allOf[0]);
  if ("const" in schema) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((each) => JSON.stringify(each)).join(" | ")];
  if (schema.type === "array") return ["list of ", ...kind(schema.items)];
  const words = [[schema.type].flat().join(" or ")];
  if (schema.format) words.push(`(${schema.format})`);
  if (schema.minimum !== undefined && schema.maximum !== undefined) words.push(`${schema.minimum} to ${schema.maximum}`);
  if (schema.default !== undefined) words.push(`default ${JSON.stringify(schema.default)}`);
  return [words.join(" ")];
}

const row = (name, what, note) => make("tr", {}, make("td", {}, name), make("td", {}, what), make("td", {}, prose(note)));

/** The fields of an object, those of objects within it indented by their path. */
function rows(schema, before = "") {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const inner = field.type === "array" ? field.items : field;
    const suffix = field.type === "array" ? "[]" : "";
    return [row(before + name + suffix, kind(field), field.description), ...rows(inner, `${before}${name}${suffix}.`)];
  });
}

const table = (found) => make("table", { class: "fields" }, make("tbody", {}, found));

function parameters(operation) {
  if (!operation.parameters) return [];
  const found = operation.parameters.map((each) =>
    row(each.name, [each.in, ", ", ...kind(each.schema), each.required ? ", required" : ""], each.description));
  return [make("h4", {}, "Parameters"), table(found)];
}

function requestBody(operation) {
  if (!operation.requestBody) return [];
  return Object.entries(operation.requestBody.content).flatMap(([type, content]) => [
    make("h4", {}, `Body, ${type}`), make("p", {}, kind(content.schema)), pretty(content.example)]);
}

function response(status, told) {
  const examples = Object.entries(told.content ?? {}).flatMap(([type, content]) => {
    const shown = content.examples ? Object.values(content.examples).map((each) => each.value) : [content.example];
    return [make("p", {}, `${type}: `, kind(content.schema)), ...shown.filter((each) => each !== undefined).map(pretty)];
  });
  const headers = Object.entries(told.headers ?? {}).map(([name, each]) => row(name, "header", each.description));
  const bad = status >= 400 ? { "data-bad": "" } : {};
  return make("details", bad, make("summary", {}, make("b", {}, status), " ", prose(told.description)), examples, table(headers));
}

function who(operation) {
  const ways = { key: "an API key", cookie: "the dashboard's cookie" };
  const names = operation.security.map((each) => ways[Object.keys(each)[0]] ?? "nothing, on loopback");
  return make("p", { class: "hint" }, names.length ? `Needs ${names.join(" or ")}.` : "Needs no key.");
}

function card(path, method, operation) {
  return make("article", { class: "card", id: operation.operationId },
    make("h3", {}, operation.summary),
    make("div", { class: "address" }, make("span", { class: "method", "data-method": method }, method.toUpperCase()), " ", path),
    paragraphs(operation.description), who(operation), parameters(operation), requestBody(operation),
    make("h4", {}, "Answers"),
    Object.entries(operation.responses).map(([status, told]) => response(status, told)));
}

function show(api) {
  const contents = document.querySelector("#contents");
  contents.open = !matchMedia("(max-width: 55rem)").matches; // on a phone they would fill the screen before the first word
  const operations = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })));
  document.querySelector("#version").append(api.info.version);
  document.querySelector("#about").append(...paragraphs(api.info.description));
  for (const tag of api.tags) {
    const own = operations.filter(({ operation }) => operation.tags.includes(tag.name));
    const cards = own.map(({ path, method, operation }) => card(path, method, operation));
    document.querySelector("#operations").append(
      make("section", { id: slug(tag.name) }, make("h2", {}, tag.name), make("p", {}, tag.description), cards));
    contents.append(make("h2", {}, tag.name),
      ...own.map(({ operation }) => make("a", { href: `#${operation.operationId}` }, operation.summary)));
  }
  const errors = Object.entries(api["x-errors"]).map(([code, { status, when }]) => row(code, String(status), when));
  document.querySelector("#errors").append(table(errors));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    document.querySelector("#shapes").append(
      make("article", { class: "card", id: `shape-${name}` }, make("h3", {}, name), paragraphs(schema.description), table(rows(schema))));
  }
  contents.append(make("h2", {}, "More"), make("a", { href: "#errors" }, "Errors"), make("a", { href: "#shapes" }, "Shapes"));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  show(await (await fetch("/openapi.json")).json());
} catch (error) {
  document.querySelector("#problem").textContent = `The description cannot be shown: ${error.message}`;
}
