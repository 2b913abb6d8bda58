// Mouse and keys of one pane. `ctl` holds the actions of the viewer (see viewer.js).

function listenTo(pane, ctl) {
  const {canvas} = pane
  canvas.addEventListener('wheel', onWheel(pane, ctl), {passive: false})
  canvas.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return
    const act = keyAction(e.key, e.shiftKey ? 10 : 1, pane, ctl)
    if (!act) return
    act()
    e.preventDefault()
  })
  canvas.addEventListener('dblclick', () => ctl.reset())
  canvas.addEventListener('contextmenu', e => { // the right button sets the window
    e.preventDefault()
    e.stopPropagation()
  })
  listenToDrags(pane, ctl)
}

// A notch of a wheel is a slice; the small steps of a touchpad add up. At the last slice the page scrolls.
function onWheel({canvas, h}, ctl) {
  let sum = 0
  return e => {
    const up = e.deltaY < 0
    const i = ctl.get('cursor')[h.cut]
    if (e.ctrlKey || e.metaKey) {
      e.preventDefault()
      return ctl.zoom(up ? 1.25 : 0.8, canvas, e)
    }
    if (up ? i >= ctl.spec.size[h.cut] - 1 : i <= 0) return
    e.preventDefault()
    sum += e.deltaY
    const steps = Math.abs(e.deltaY) >= 50 ? Math.sign(e.deltaY) : Math.trunc(sum/50)
    if (!steps) return
    sum = 0
    ctl.step(h.cut, -steps)
  }
}

// The action of a key, or undefined.
function keyAction(key, by, {canvas, h}, ctl) {
  const presets = Object.keys(ctl.spec.presets)
  const all = ctl.spec.size[h.cut]
  const right = h.flip ? -by : by
  const actions = {
    ArrowUp: () => ctl.step(h.cut, by),
    ArrowDown: () => ctl.step(h.cut, -by),
    PageUp: () => ctl.step(h.cut, 10),
    PageDown: () => ctl.step(h.cut, -10),
    Home: () => ctl.step(h.cut, -all),
    End: () => ctl.step(h.cut, all),
    ArrowRight: () => ctl.step(h.col, right),
    ArrowLeft: () => ctl.step(h.col, -right),
    '+': () => ctl.zoom(1.25, canvas),
    '=': () => ctl.zoom(1.25, canvas),
    '-': () => ctl.zoom(0.8, canvas),
    0: () => ctl.reset(),
    m: () => ctl.nextMode(),
  }
  return actions[key] || (presets[key - 1] && (() => ctl.preset(presets[key - 1])))
}

// The thing that a drag moves: the window, the picture, the line of the swipe, or the crosshair.
function dragTarget(e, nearSplit) {
  if (e.button === 2 || e.altKey) return 'window'
  if (e.button === 1 || e.shiftKey) return 'pan'
  return nearSplit ? 'split' : 'crosshair'
}

function listenToDrags(pane, ctl) {
  const {canvas, name} = pane
  let drag = null
  canvas.addEventListener('pointerdown', e => {
    canvas.setPointerCapture(e.pointerId)
    canvas.focus({preventScroll: true})
    if (e.pointerType !== 'touch') e.preventDefault() // a finger can still scroll the page
    const at = [...ctl.viewport(name).at]
    const target = dragTarget(e, ctl.nearSplit(pane, e))
    drag = {x: e.clientX, y: e.clientY, level: ctl.get('level'), width: ctl.get('width'), at, target}
    if (target === 'crosshair') ctl.point(pane, e)
  })
  canvas.addEventListener('pointermove', e => drag ? moveDrag(pane, ctl, drag, e) : ctl.hover(pane, e))
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { drag = null })
  canvas.addEventListener('pointerleave', () => ctl.hover(null))
}

// One move of the mouse with a pressed button.
function moveDrag(pane, ctl, drag, e) {
  const {canvas, name} = pane
  const viewport = ctl.viewport(name)
  const dx = e.clientX - drag.x
  const dy = e.clientY - drag.y
  if (drag.target === 'crosshair') ctl.point(pane, e)
  if (drag.target === 'split') ctl.put({split: clamp(pointUnder(canvas, viewport, e)[0], 0, 1)})
  if (drag.target === 'window') {
    ctl.put({width: Math.max(1, Math.round(drag.width + 3*dx)), level: Math.round(drag.level + 3*dy)})
  }
  if (drag.target === 'pan') {
    const b = canvas.getBoundingClientRect()
    viewport.at = [drag.at[0] - dx/b.width/viewport.zoom, drag.at[1] - dy/b.height/viewport.zoom]
    ctl.settle(viewport)
    ctl.draw()
  }
}
