// The elements of the page, and what several parts do with them.

export const at = (id) => document.getElementById(id);

/** Returns a new element with a text and other properties. */
export const element = (name, textContent = "", properties = {}) =>
  Object.assign(document.createElement(name), { textContent, ...properties });

/** Empties a canvas that has `width` and `height` in the units of what is drawn. Returns its context, and a function for the page's colors. */
export function easel(canvas, width = canvas.clientWidth, height = canvas.clientHeight) {
  const [across, down] = [canvas.clientWidth, canvas.clientHeight].map((length) => Math.round(length * devicePixelRatio));
  if (canvas.width !== across || canvas.height !== down) [canvas.width, canvas.height] = [across, down];
  const pen = canvas.getContext("2d");
  pen.setTransform(across / width, 0, 0, down / height, 0, 0);
  pen.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  return [pen, (name) => style.getPropertyValue(name)];
}
