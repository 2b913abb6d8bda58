// A table that is sorted in place; a click or Enter opens a row.

// Rows in the order of one column; missing values come last in both directions.
function inOrder(rows, by, down) {
  return [...rows].sort((a, b) => {
    const x = a[by]
    const y = b[by]
    if (x === null || y === null) return (x === null) - (y === null)
    const order = (x > y) - (x < y)
    return down ? -order : order
  })
}

function inCell(value, digits) {
  if (value === null) return '–'
  return typeof value === 'number' ? value.toFixed(digits ?? 2).replace('-', '−') : value
}

function renderCases({model, el: host}) {
  const columns = model.get('columns')
  const rows = model.get('rows')
  const body = el('tbody')
  let by = model.get('sort_by')
  let down = true
  const heads = Object.entries(columns).map(([key, title]) => {
    const sort = () => {
      down = by === key ? !down : key !== 'patient' // numbers begin with the largest, names with the first
      by = key
      fill()
    }
    return [key, el('th', {scope: 'col'}, el('button', {type: 'button', click: sort}, title))]
  })
  function rowOf(r) {
    const open = () => {
      model.set('selected', r.patient)
      model.save_changes()
    }
    const onKey = e => {
      if (e.key !== 'Enter' && e.key !== ' ') return
      e.preventDefault()
      open()
    }
    const cells = Object.keys(columns).map(key =>
      el(key === 'patient' ? 'th' : 'td', {}, inCell(r[key], model.get('digits')[key])))
    const chosen = r.patient === model.get('selected')
    return el('tr', {tabindex: 0, 'data-patient': r.patient, 'aria-selected': `${chosen}`, click: open, keydown: onKey}, ...cells)
  }
  function fill() {
    const focused = body.contains(document.activeElement) && document.activeElement.dataset.patient
    const direction = down ? 'descending' : 'ascending'
    for (const [key, th] of heads) th.setAttribute('aria-sort', key === by ? direction : 'none')
    body.replaceChildren(...inOrder(rows, by, down).map(rowOf))
    if (focused) [...body.children].find(tr => tr.dataset.patient === focused).focus() // the keyboard stays on its row
  }
  const table = ownKeys(el('table', {class: 'x2c'}, el('thead', {}, el('tr', {}, ...heads.map(([, th]) => th))), body))
  host.append(el('div', {class: 'x2c-box'}, table))
  fill()
  model.on('change:selected', fill)
  return () => model.off('change:selected', fill)
}
