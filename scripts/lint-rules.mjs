// Lint rules of this repository that no ready-made rule can express. Switched on in .oxlintrc.json.

import { posix } from 'node:path'

const isNamed = (node, name) => node.type === 'Identifier' && node.name === name

/** Calls `visit` with each module name that a file imports or re-exports. */
function visitImports(visit) {
  const visitSource = (node) => {
    if (typeof node.source?.value === 'string') visit(node, node.source.value)
  }
  return {
    ImportDeclaration: visitSource,
    ImportExpression: visitSource,
    ExportNamedDeclaration: visitSource,
    ExportAllDeclaration: visitSource,
  }
}

/** Forbids `new Error(…)`: callers need a class with a stable code. */
const noPlainError = {
  create(context) {
    const check = (node) => {
      if (!isNamed(node.callee, 'Error')) return
      context.report({ node, message: 'Use an error class of base/errors.ts: callers branch on its code.' })
    }
    return { NewExpression: check, CallExpression: check }
  },
}

const ambient = {
  'Date.now': 'Read the time through the Clock port: clock.now().',
  'performance.now': 'Measure time through the Clock port: clock.monotonic().',
  'process.hrtime': 'Measure time through the Clock port: clock.monotonic().',
  'Math.random': 'Draw through the Random port.',
  'crypto.randomUUID': 'Make ids through the Random port.',
}

/** Forbids reading the clock and drawing chance from the surroundings; `new Date(value)` is fine. */
const noAmbient = {
  create(context) {
    const checkDate = (node) => {
      const reads = node.type === 'CallExpression' || node.arguments.length === 0
      if (isNamed(node.callee, 'Date') && reads) context.report({ node, message: ambient['Date.now'] })
    }
    return {
      NewExpression: checkDate,
      CallExpression: checkDate,
      MemberExpression(node) {
        if (node.object.type !== 'Identifier' || node.property.type !== 'Identifier') return
        const message = ambient[`${node.object.name}.${node.property.name}`]
        if (message !== undefined) context.report({ node, message })
      },
      ImportSpecifier(node) {
        const fromCrypto = /^(node:)?crypto$/.test(node.parent.source.value)
        if (fromCrypto && isNamed(node.imported, 'randomUUID')) {
          context.report({ node, message: ambient['crypto.randomUUID'] })
        }
      },
      ImportDeclaration(node) {
        if (/^(node:)?timers(\/promises)?$/.test(node.source.value)) {
          context.report({ node, message: 'Wait through the Clock port: clock.at(deadline, fn).' })
        }
      },
    }
  },
}

/** Keeps an outside package, or a folder of `root`, to the files and folders that may import it. */
const importBorders = {
  meta: {
    schema: [
      {
        type: 'object',
        required: ['root', 'borders'],
        additionalProperties: false,
        properties: {
          root: { type: 'string' },
          borders: { type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } },
        },
      },
    ],
  },
  create(context) {
    const { root, borders } = context.options[0]
    const path = context.filename.replaceAll('\\', '/')
    const file = path.slice(path.lastIndexOf(root) + root.length)
    return visitImports((node, name) => {
      const target = name.startsWith('.') ? posix.join(posix.dirname(file), name) : name
      for (const [guarded, importers] of Object.entries(borders)) {
        const prefix = guarded.endsWith('/') ? guarded : `${guarded}/`
        const isGuarded = target === guarded || target.startsWith(prefix)
        const isAllowed = importers.some((allowed) =>
          allowed.endsWith('/') ? file.startsWith(allowed) : file === allowed,
        )
        if (isGuarded && !isAllowed) {
          context.report({ node, message: `Only ${importers.join(', ')} may import ${guarded}.` })
        }
      }
    })
  },
}

export default {
  meta: { name: 'troupe' },
  rules: { 'no-plain-error': noPlainError, 'no-ambient': noAmbient, 'import-borders': importBorders },
}
