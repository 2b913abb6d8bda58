// Colors: how one slice of Hounsfield units becomes red, green, blue.

// The colors of the two overlays, for the pixels and for the bars that explain them.
const THIN = [33, 102, 172], EQUAL = [247, 247, 247], DENSE = [178, 24, 43], UNCERTAINTY_COLOR = [255, 140, 0]
const OPAQUE = 0.85 // of the uncertainty's color where it is largest
const css = c => `rgb(${c})`
const BARS = {
  difference: `linear-gradient(90deg, ${css(THIN)}, ${css(EQUAL)}, ${css(DENSE)})`,
  uncertainty: `linear-gradient(90deg, #555, ${css(UNCERTAINTY_COLOR)})`,
}

// One pixel (at byte o) under a color: opacity 0 leaves r, g, b, 1 is the color. Called for every pixel, so it makes nothing.
function lay(px, o, r, g, b, color, opacity) {
  px[o] = r + (color[0] - r)*opacity
  px[o + 1] = g + (color[1] - g)*opacity
  px[o + 2] = b + (color[2] - b)*opacity
  px[o + 3] = 255
}

// A slice d = {w, h, data: one Int16Array a layer} into RGBA bytes. A pane shows one layer, or (layer null) the
// comparison that the state names; layer 0 is the prediction, 1 the truth.
function paint(px, d, st, spec, layer) {
  const lo = st.level - st.width/2, hi = lo + st.width, n = d.w*d.h, [pred, truth] = d.data
  if (layer === null && st.mode === 'difference') return paintDifference(px, pred, truth, n, lo, hi, spec.error)
  const mode = layer === null ? st.mode : '', plain = d.data[layer || 0], per = 255/st.width
  const tile = Math.max(2, Math.round(d.w/8)), edge = st.split*d.w, uncertainty = d.data[spec.uncertainty]
  const pick = {
    checkerboard: (x, y) => (Math.floor(x/tile) + Math.floor(y/tile)) % 2 ? truth : pred,
    swipe: x => x < edge ? pred : truth,
  }[mode]
  for (let j = 0; j < n; j++) {
    const from = pick ? pick(j % d.w, Math.floor(j/d.w)) : plain, g = clamp((from[j] - lo)*per, 0, 255)
    lay(px, 4*j, g, g, g, UNCERTAINTY_COLOR, mode === 'uncertainty' ? OPAQUE*clamp(uncertainty[j]/spec.uncertainty_hu, 0, 1) : 0)
  }
}

// Both inside the window: what is not seen is not an error.
function paintDifference(px, pred, truth, n, lo, hi, limit) {
  for (let j = 0; j < n; j++) {
    const e = clamp((clamp(pred[j], lo, hi) - clamp(truth[j], lo, hi))/limit, -1, 1)
    lay(px, 4*j, EQUAL[0], EQUAL[1], EQUAL[2], e > 0 ? DENSE : THIN, Math.abs(e))
  }
}
