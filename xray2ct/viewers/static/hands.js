// Hands: wheel, drag, hover and keys of one pane. `ctl` is what the viewer offers (see viewer.js).

function listen(pane, ctl) {
  const {canvas} = pane
  canvas.addEventListener('wheel', wheelOf(pane, ctl), {passive: false})
  canvas.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return
    const act = actionOf(e.key, e.shiftKey ? 10 : 1, pane, ctl)
    if (!act) return
    act()
    e.preventDefault()
  })
  canvas.addEventListener('dblclick', () => ctl.reset())
  canvas.addEventListener('contextmenu', e => { // the right button is the window
    e.preventDefault()
    e.stopPropagation()
  })
  dragging(pane, ctl)
}

// A notch of a wheel is a slice; the small steps of a touchpad add up. At the last slice the page scrolls on.
function wheelOf({canvas, h}, ctl) {
  let rest = 0
  return e => {
    const up = e.deltaY < 0, i = ctl.get('cursor')[h.cut]
    if (e.ctrlKey || e.metaKey) {
      e.preventDefault()
      return ctl.zoom(up ? 1.25 : 0.8, canvas, e)
    }
    if (up ? i >= ctl.spec.size[h.cut] - 1 : i <= 0) return
    e.preventDefault()
    rest += e.deltaY
    const steps = Math.abs(e.deltaY) >= 50 ? Math.sign(e.deltaY) : Math.trunc(rest/50)
    if (!steps) return
    rest = 0
    ctl.step(h.cut, -steps)
  }
}

// What a key does, or undefined.
function actionOf(key, by, {canvas, h}, ctl) {
  const presets = Object.keys(ctl.spec.presets), all = ctl.spec.size[h.cut], right = h.flip ? -by : by
  const acts = {
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
  return acts[key] || (presets[key - 1] && (() => ctl.preset(presets[key - 1])))
}

// What a button that was pressed takes hold of.
function grips(e, nearSplit) {
  if (e.button === 2 || e.altKey) return 'window'
  if (e.button === 1 || e.shiftKey) return 'pan'
  return nearSplit ? 'split' : 'cross'
}

function dragging(pane, ctl) {
  const {canvas, name} = pane
  let drag = null
  canvas.addEventListener('pointerdown', e => {
    canvas.setPointerCapture(e.pointerId)
    canvas.focus({preventScroll: true})
    if (e.pointerType !== 'touch') e.preventDefault() // a finger may go on to scroll the page
    const start = {x: e.clientX, y: e.clientY, level: ctl.get('level'), width: ctl.get('width'), at: [...ctl.look(name).at]}
    drag = {...start, what: grips(e, ctl.nearSplit(pane, e))}
    if (drag.what === 'cross') ctl.point(pane, e)
  })
  canvas.addEventListener('pointermove', e => {
    if (!drag) return ctl.hover(pane, e)
    const dx = e.clientX - drag.x, dy = e.clientY - drag.y, look = ctl.look(name)
    if (drag.what === 'cross') ctl.point(pane, e)
    if (drag.what === 'split') ctl.put({split: clamp(pointUnder(canvas, look, e)[0], 0, 1)})
    if (drag.what === 'window') {
      ctl.put({width: Math.max(1, Math.round(drag.width + 3*dx)), level: Math.round(drag.level + 3*dy)})
    }
    if (drag.what === 'pan') {
      const b = canvas.getBoundingClientRect()
      look.at = [drag.at[0] - dx/b.width/look.zoom, drag.at[1] - dy/b.height/look.zoom]
      ctl.settle(look)
      ctl.draw()
    }
  })
  for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, () => { drag = null })
  canvas.addEventListener('pointerleave', () => ctl.hover(null))
}
