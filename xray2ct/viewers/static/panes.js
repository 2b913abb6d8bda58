// Drawing. One pane is one picture of one plane: {canvas, h, name, layer}.

// Draw a pane: picture, crosshair, the line of the swipe, letters and titles.
function drawPane(pane, d, st, spec, viewport) {
  const {canvas} = pane
  const dpr = window.devicePixelRatio || 1
  const W = Math.round(canvas.clientWidth*dpr)
  const H = Math.round(canvas.clientHeight*dpr)
  if (!W || !H || !d) return
  if (canvas.width !== W || canvas.height !== H) Object.assign(canvas, {width: W, height: H})
  const zoom = viewport.zoom
  const box = {x: W/2 - viewport.at[0]*W*zoom, y: H/2 - viewport.at[1]*H*zoom, w: W*zoom, h: H*zoom}
  const ctx = canvas.getContext('2d')
  ctx.fillStyle = '#000'
  ctx.fillRect(0, 0, W, H)
  ctx.imageSmoothingEnabled = false // a voxel is a square
  ctx.drawImage(sliceCanvas(pane, d, st, spec), box.x, box.y, box.w, box.h)
  drawCrosshair(ctx, pane.h, spec, st.cursor, box, dpr)
  if (pane.layer === null && st.mode === 'swipe') {
    const x = box.x + st.split*box.w
    drawLines(ctx, '#fc3', 2*dpr, [[x, 0, x, H]])
  }
  drawTitles(ctx, pane, d, st, spec, dpr)
  Object.assign(canvas.dataset, {index: d.i, coarse: d.coarse ? 1 : ''}) // the slice on the canvas, for tests
}

// The slice as a canvas with one pixel per voxel. Its pane keeps it, because making one costs more than filling it.
function sliceCanvas(pane, d, st, spec) {
  const off = pane.off || (pane.off = document.createElement('canvas'))
  if (off.width !== d.w || off.height !== d.h) {
    Object.assign(off, {width: d.w, height: d.h})
    pane.img = null
  }
  const ctx = off.getContext('2d')
  const img = pane.img || (pane.img = ctx.createImageData(d.w, d.h))
  paint(img.data, d, st, spec, pane.layer)
  ctx.putImageData(img, 0, 0)
  return off
}

// Two lines that leave the voxel itself free.
function drawCrosshair(ctx, h, spec, cursor, box, dpr) {
  const {width: W, height: H} = ctx.canvas
  const x = box.x + (colOf(h, spec, cursor) + 0.5)/spec.size[h.col]*box.w
  const y = box.y + (rowOf(h, spec, cursor) + 0.5)/spec.size[h.row]*box.h
  const gap = 7*dpr
  drawLines(ctx, 'rgba(90,200,250,.75)', dpr,
    [[0, y, x - gap, y], [x + gap, y, W, y], [x, 0, x, y - gap], [x, y + gap, x, H]])
}

// Direction letters, the layer or the mode at the top, plane and slice number at the bottom.
function drawTitles(ctx, {h, name, layer}, d, st, spec, dpr) {
  const {width: W, height: H} = ctx.canvas
  const small = W < 220*dpr // titles would meet the letters: these move inward, and the slider below names the plane
  drawLetters(ctx, h.letters, W, H, dpr, small ? 26 : 12)
  const compared = st.mode === 'swipe' ? `${spec.layers[0]} | ${spec.layers[1]}` : st.mode // left | right
  const single = spec.layers.length > 1 ? spec.layers[layer] : ''
  drawText(ctx, layer === null ? compared : single, 6*dpr, 11*dpr, 'left', 11*dpr)
  drawText(ctx, `${small ? '' : name + ' '}${d.i + 1}/${spec.size[h.cut]}`, 6*dpr, H - 11*dpr, 'left', 11*dpr)
}

// Lines of one color; ends: [x0, y0, x1, y1] of each.
function drawLines(ctx, color, width, ends) {
  Object.assign(ctx, {strokeStyle: color, lineWidth: width})
  ctx.beginPath()
  for (const [x0, y0, x1, y1] of ends) {
    ctx.moveTo(x0, y0)
    ctx.lineTo(x1, y1)
  }
  ctx.stroke()
}

// White text with a dark edge, readable on any gray.
function drawText(ctx, text, x, y, align, px, color = '#fff') {
  if (!text) return
  Object.assign(ctx, {font: `${px}px system-ui, sans-serif`, textAlign: align, textBaseline: 'middle'})
  Object.assign(ctx, {lineWidth: px/6, lineJoin: 'round', strokeStyle: 'rgba(0,0,0,.7)', fillStyle: color})
  ctx.strokeText(text, x, y)
  ctx.fillText(text, x, y)
}

// The directions at the edges: left, right, top, bottom.
function drawLetters(ctx, letters, W, H, dpr, inward = 12) {
  const places = [[9*dpr, H/2], [W - 9*dpr, H/2], [W/2, inward*dpr], [W/2, H - inward*dpr]]
  letters.split('').forEach((letter, i) => drawText(ctx, letter, ...places[i], 'center', 14*dpr, '#ffe14d'))
}
