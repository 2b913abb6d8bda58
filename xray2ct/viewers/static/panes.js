// One pane is one picture of one plane: where its voxels are, and how it is drawn. `h` says how the plane hangs
// (see `hanging` in slices): h.cut, h.col, h.row are voxel axes, h.flip says that columns count down.

// RAS millimetres of a voxel (x,y,z).
function where(spec, v) {
  return [0, 1, 2].map(r => {
    const a = spec.affine[r]
    return a[0]*v[0] + a[1]*v[1] + a[2]*v[2] + a[3]
  })
}

// One coordinate in words: R 12.3, and L 12.3 on the other side.
const side = (mm, axis) => (mm < 0 ? 'LPI' : 'RAS')[axis] + ' ' + Math.abs(mm).toFixed(1)
const words = mm => mm.map(side).join(' · ') + ' mm'

// Column and row of a voxel in its pane, and back. Row 0 is at the top.
const colOf = (h, spec, v) => h.flip ? spec.size[h.col] - 1 - v[h.col] : v[h.col]
const rowOf = (h, spec, v) => spec.size[h.row] - 1 - v[h.row]
function voxelAt(h, spec, i, col, row) {
  const v = [0, 0, 0]
  v[h.cut] = i
  v[h.row] = spec.size[h.row] - 1 - row
  v[h.col] = h.flip ? spec.size[h.col] - 1 - col : col
  return v
}

// The point of the picture (0..1) under a mouse event. look = {zoom, at: [x, y]}: the point in the pane's middle.
function pointUnder(canvas, look, e) {
  const b = canvas.getBoundingClientRect()
  const from = [(e.clientX - b.left)/b.width - 0.5, (e.clientY - b.top)/b.height - 0.5]
  return from.map((f, a) => look.at[a] + f/look.zoom)
}

// The voxel (x,y,z) under a mouse event, or null beside the picture.
function voxelUnder(pane, spec, look, i, e) {
  const {h} = pane, [fx, fy] = pointUnder(pane.canvas, look, e)
  const col = Math.floor(fx*spec.size[h.col]), row = Math.floor(fy*spec.size[h.row])
  const inside = col >= 0 && row >= 0 && col < spec.size[h.col] && row < spec.size[h.row]
  return inside ? voxelAt(h, spec, i, col, row) : null
}

// HU of a voxel in a slice, one number a layer. The slice may be coarser than the volume.
function valuesAt(pane, spec, d, v) {
  const {h} = pane
  const col = Math.floor((colOf(h, spec, v) + 0.5)/spec.size[h.col]*d.w)
  const row = Math.floor((rowOf(h, spec, v) + 0.5)/spec.size[h.row]*d.h)
  return d.data.map(a => a[row*d.w + col])
}

// Hang slice i of volumes [z,y,x] that the browser holds.
function cut(vols, size, h, i) {
  const [nx, ny] = size, w = size[h.col], rows = size[h.row]
  const data = vols.map(vol => {
    const out = new Int16Array(w*rows)
    for (let row = 0, o = 0; row < rows; row++) {
      for (let col = 0; col < w; col++) {
        const [x, y, z] = voxelAt(h, {size}, i, col, row)
        out[o++] = vol[(z*ny + y)*nx + x]
      }
    }
    return out
  })
  return {i, w, h: rows, data}
}

// Draw a pane: picture, crosshair, the swipe's line, letters.
function drawPane(pane, d, st, spec, look) {
  const {canvas, h, name, layer} = pane, ctx = canvas.getContext('2d'), dpr = window.devicePixelRatio || 1
  const W = Math.round(canvas.clientWidth*dpr), H = Math.round(canvas.clientHeight*dpr)
  if (!W || !H || !d) return
  if (canvas.width !== W || canvas.height !== H) Object.assign(canvas, {width: W, height: H})
  const box = {x: W/2 - look.at[0]*W*look.zoom, y: H/2 - look.at[1]*H*look.zoom, w: W*look.zoom, h: H*look.zoom}
  ctx.fillStyle = '#000'
  ctx.fillRect(0, 0, W, H)
  ctx.imageSmoothingEnabled = false // a voxel is a square
  ctx.drawImage(picture(pane, d, st, spec), box.x, box.y, box.w, box.h)
  const cx = box.x + (colOf(h, spec, st.cursor) + 0.5)/spec.size[h.col]*box.w
  const cy = box.y + (rowOf(h, spec, st.cursor) + 0.5)/spec.size[h.row]*box.h
  const gap = 7*dpr // the voxel itself stays free
  lines(ctx, 'rgba(90,200,250,.75)', dpr,
    [[0, cy, cx - gap, cy], [cx + gap, cy, W, cy], [cx, 0, cx, cy - gap], [cx, cy + gap, cx, H]])
  if (layer === null && st.mode === 'swipe') {
    const x = box.x + st.split*box.w
    lines(ctx, '#fc3', 2*dpr, [[x, 0, x, H]])
  }
  const small = W < 220*dpr // then titles would meet the letters: these move inwards, and the slider below names the plane
  label(ctx, h.letters, W, H, dpr, small ? 26 : 12)
  const both = st.mode === 'swipe' ? `${spec.layers[0]} | ${spec.layers[1]}` : st.mode // which is on which side
  const title = layer === null ? both : spec.layers.length > 1 ? spec.layers[layer] : ''
  say(ctx, title, 6*dpr, 11*dpr, 'left', 11*dpr)
  say(ctx, `${small ? '' : name + ' '}${d.i + 1}/${spec.size[h.cut]}`, 6*dpr, H - 11*dpr, 'left', 11*dpr)
  Object.assign(canvas.dataset, {index: d.i, coarse: d.coarse ? 1 : ''}) // what is on the canvas, for who asks
}

// A slice as a canvas with one pixel a voxel; kept by its pane, because making one costs more than filling it.
function picture(pane, d, st, spec) {
  const off = pane.off || (pane.off = document.createElement('canvas'))
  if (off.width !== d.w || off.height !== d.h) {
    Object.assign(off, {width: d.w, height: d.h})
    pane.img = null
  }
  const ctx = off.getContext('2d'), img = pane.img || (pane.img = ctx.createImageData(d.w, d.h))
  paint(img.data, d, st, spec, pane.layer)
  ctx.putImageData(img, 0, 0)
  return off
}

function lines(ctx, color, width, ends) {
  Object.assign(ctx, {strokeStyle: color, lineWidth: width})
  ctx.beginPath()
  for (const [x0, y0, x1, y1] of ends) {
    ctx.moveTo(x0, y0)
    ctx.lineTo(x1, y1)
  }
  ctx.stroke()
}

// White text with a dark edge, readable on any gray.
function say(ctx, text, x, y, align, px, color = '#fff') {
  if (!text) return
  Object.assign(ctx, {font: `${px}px system-ui, sans-serif`, textAlign: align, textBaseline: 'middle'})
  Object.assign(ctx, {lineWidth: px/6, lineJoin: 'round', strokeStyle: 'rgba(0,0,0,.7)', fillStyle: color})
  ctx.strokeText(text, x, y)
  ctx.fillText(text, x, y)
}

// The directions at the edges: left, right, top, bottom.
function label(ctx, letters, W, H, dpr, inwards = 12) {
  const at = [[9*dpr, H/2], [W - 9*dpr, H/2], [W/2, inwards*dpr], [W/2, H - inwards*dpr]]
  letters.split('').forEach((letter, i) => say(ctx, letter, ...at[i], 'center', 14*dpr, '#ffe14d'))
}
