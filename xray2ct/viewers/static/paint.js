// Colors: one slice of Hounsfield units as red, green, blue.

// Colors of the two overlays, for the pixels and for the bars that explain them.
const THIN = [33, 102, 172]
const EQUAL = [247, 247, 247]
const DENSE = [178, 24, 43]
const UNCERTAINTY_COLOR = [255, 140, 0]
const MAX_OPACITY = 0.85 // of the uncertainty's color where it is largest
const css = color => `rgb(${color})`
const BARS = {
  difference: `linear-gradient(90deg, ${css(THIN)}, ${css(EQUAL)}, ${css(DENSE)})`,
  uncertainty: `linear-gradient(90deg, #555, ${css(UNCERTAINTY_COLOR)})`,
}

// Blend one pixel (at byte o) with a color: opacity 0 leaves r, g, b, 1 is the color.
// Called for every pixel, so it allocates nothing.
function blend(px, o, r, g, b, color, opacity) {
  px[o] = r + (color[0] - r)*opacity
  px[o + 1] = g + (color[1] - g)*opacity
  px[o + 2] = b + (color[2] - b)*opacity
  px[o + 3] = 255
}

// A slice d = {w, h, data: one Int16Array per layer} as RGBA bytes. A pane shows one layer, or (layer null) the
// comparison of the state's mode; layer 0 is the prediction, 1 the truth.
function paint(px, d, st, spec, layer) {
  const lo = st.level - st.width/2
  const n = d.w*d.h
  const [pred, truth] = d.data
  const mode = layer === null ? st.mode : ''
  if (mode === 'difference') return paintDifference(px, pred, truth, n, lo, lo + st.width, spec.error)
  const single = d.data[layer || 0]
  const grayPerHu = 255/st.width
  const tile = Math.max(2, Math.round(d.w/8))
  const edge = st.split*d.w
  const uncertainty = d.data[spec.uncertainty]
  const layerAt = {
    checkerboard: (x, y) => (Math.floor(x/tile) + Math.floor(y/tile)) % 2 ? truth : pred,
    swipe: x => x < edge ? pred : truth,
  }[mode]
  for (let j = 0; j < n; j++) {
    const from = layerAt ? layerAt(j % d.w, Math.floor(j/d.w)) : single
    const gray = clamp((from[j] - lo)*grayPerHu, 0, 255)
    const opacity = mode === 'uncertainty' ? MAX_OPACITY*clamp(uncertainty[j]/spec.uncertainty_hu, 0, 1) : 0
    blend(px, 4*j, gray, gray, gray, UNCERTAINTY_COLOR, opacity)
  }
}

// Both volumes are clamped to the window first: what is not shown is not an error.
function paintDifference(px, pred, truth, n, lo, hi, limit) {
  for (let j = 0; j < n; j++) {
    const share = clamp((clamp(pred[j], lo, hi) - clamp(truth[j], lo, hi))/limit, -1, 1)
    blend(px, 4*j, EQUAL[0], EQUAL[1], EQUAL[2], share > 0 ? DENSE : THIN, Math.abs(share))
  }
}
