// JSON on several lines. Its numbers stay as they are written: JavaScript would round long ones.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

const DEEPEST = 20; // steps of the indent: without a limit, it would make a foreign text longer by its square

/**
 * Indent a text that is JSON: each field of an object gets a line. Any other text is returned as it is.
 *
 * @param {string} text
 */
export function indented(text) {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  /** @type {boolean[]} whether each of the objects and lists around a token is an object */
  const outer = [];
  let depth = 0;
  const newLine = () => `\n${"  ".repeat(Math.min(depth, DEEPEST))}`;
  const tokens = text.match(TOKEN) ?? [];
  return tokens.map((token, index) => {
    if (token === "[" || token === "{") outer.push(token === "{");
    if (token === "]" || token === "}") outer.pop();
    if (token === "{") depth++;
    if (token === "}") depth--;
    if (token === "{") return tokens[index + 1] === "}" ? token : token + newLine();
    if (token === "}") return tokens[index - 1] === "{" ? token : newLine() + token;
    if (token === ",") return outer.at(-1) ? token + newLine() : ", ";
    return token === ":" ? ": " : token;
  }).join("");
}
