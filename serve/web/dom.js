// Makes elements. All text goes in as text: no function here, and none that uses it, takes markup.

export function el(name, options = {}, ...children) {
  const made = document.createElement(name);
  for (const [option, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (option === "class") made.className = value;
    else if (option === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else made.setAttribute(option, value === true ? "" : value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) made.append(child);
  return made;
}

export const byId = (id) => document.getElementById(id);

// Only addresses that open a page: a source may be anybody's, and "javascript:" is an address too.
export function safeUrl(text) {
  try {
    const url = new URL(text);
    return ["http:", "https:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
