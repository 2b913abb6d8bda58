// X-rays with lines on them. A click is sent to the kernel, which replies with new lines.

// One X-ray: its canvas, its gray picture, and the values under the mouse.
function xrayPane(f, values, k) {
  const canvas = el('canvas', {tabindex: 0, role: 'img', style: `aspect-ratio: ${f.ratio}`, 'data-xray': f.name,
    'aria-label': `${f.name} X-ray; ${f.letters[0]} is left, ${f.letters[2]} is up`})
  const gray = Object.assign(document.createElement('canvas'), {width: f.w, height: f.h})
  const ctx = gray.getContext('2d')
  const img = ctx.createImageData(f.w, f.h)
  values.forEach((x, i) => {
    const g = 255*clamp((x - f.lo)/(f.hi - f.lo), 0, 1)
    img.data.set([g, g, g, 255], 4*i)
  })
  ctx.putImageData(img, 0, 0)
  return {f, k, canvas, gray, values}
}

// The place of a mouse event on an X-ray: -1 to 1 from left to right and from top to bottom.
function xrayPoint(canvas, e) {
  const b = canvas.getBoundingClientRect()
  return [2*(e.clientX - b.left)/b.width - 1, 2*(e.clientY - b.top)/b.height - 1]
}

// The pixel at a place as text, or null outside the X-ray.
function xrayWords({f, values}, [u, v]) {
  const col = Math.floor((u + 1)/2*f.w)
  const row = Math.floor((v + 1)/2*f.h)
  if (col < 0 || row < 0 || col >= f.w || row >= f.h) return null
  const quantity = f.measured ? 'line integral' : 'gray'
  return `${f.name}: row ${row}, column ${col}, ${quantity} ${values[row*f.w + col].toPrecision(3)}`
}

function drawXray({f, canvas, gray}, lines) {
  const dpr = window.devicePixelRatio || 1
  const ctx = canvas.getContext('2d')
  const W = Math.round(canvas.clientWidth*dpr)
  const H = Math.round(canvas.clientHeight*dpr)
  if (!W || !H) return
  Object.assign(canvas, {width: W, height: H})
  ctx.drawImage(gray, 0, 0, W, H)
  for (const {points, color, dash} of lines) {
    const at = points.map(([u, v]) => [(u + 1)/2*W, (v + 1)/2*H])
    Object.assign(ctx, {strokeStyle: color, fillStyle: color, lineWidth: 1.5*dpr})
    ctx.setLineDash(dash ? [6*dpr, 4*dpr] : [])
    ctx.beginPath()
    if (at.length === 1) { // a ray along the line of sight is a ring, a position is a dot
      ctx.arc(...at[0], 4*dpr, 0, 7)
      dash ? ctx.stroke() : ctx.fill()
    } else {
      at.forEach(([x, y], i) => i ? ctx.lineTo(x, y) : ctx.moveTo(x, y))
      ctx.stroke()
    }
  }
  ctx.setLineDash([])
  drawLetters(ctx, f.letters, W, H, dpr)
  drawText(ctx, f.name, 6*dpr, H - 12*dpr, 'left', 12*dpr)
}

// Send clicks, drags and arrow keys on one X-ray as [X-ray number, u, v].
function listenToXray(pane, model, line) {
  const {canvas, k} = pane
  const send = at => {
    if (Math.max(...at.map(Math.abs)) > 1) return
    model.set('clicked', [k, ...at])
    model.save_changes()
  }
  canvas.addEventListener('pointerdown', e => {
    canvas.setPointerCapture(e.pointerId)
    send(xrayPoint(canvas, e))
  })
  canvas.addEventListener('pointermove', e => {
    const at = xrayPoint(canvas, e)
    line.textContent = xrayWords(pane, at) || line.textContent
    if (e.buttons === 1) send(at)
  })
  canvas.addEventListener('keydown', e => { // arrows move the point by a hundredth of the X-ray's half width
    const by = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[e.key]
    if (!by) return
    e.preventDefault()
    const point = model.get('lines')[k].find(l => l.name === 'point').points[0]
    send(point.map((p, a) => p + by[a]*(e.shiftKey ? 0.1 : 0.01)))
  })
}

function renderXrays({model, el: host}) {
  const spec = model.get('spec')
  const all = new Float32Array(bytesOf(model.get('pixels')))
  const line = el('output', {class: 'x2f-line'})
  let start = 0
  const panes = spec.xrays.map((f, k) => xrayPane(f, all.subarray(start, start += f.h*f.w), k))
  const draw = () => panes.forEach(p => drawXray(p, model.get('lines')[p.k]))
  for (const pane of panes) listenToXray(pane, model, line)
  const key = el('div', {class: 'x2f-key'}, ...Object.entries(spec.colors).map(([name, color]) =>
    el('span', {}, el('i', {style: `background: ${color}`}), name)))
  const xrays = el('div', {class: 'x2f-xrays'}, ...panes.map(p => p.canvas))
  const root = ownKeys(el('div', {class: 'x2f'}, xrays, key, line))
  host.append(root)
  const resizes = new ResizeObserver(draw)
  resizes.observe(root)
  model.on('change:lines', draw)
  return () => {
    resizes.disconnect()
    model.off('change:lines', draw)
  }
}
