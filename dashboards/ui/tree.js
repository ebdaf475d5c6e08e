// From Zipkin's spans to a tree, and the clocks of hosts put right for showing.

/** Nodes in the order of the waterfall, each with its depth. */
export function grow(spans) {
  const nodes = spans.map((span) => ({ span, children: [], depth: 0, adjusted: 0 }));
  const own = new Map();
  const shared = new Map();
  for (const node of nodes) {
    const map = node.span.shared ? shared : own;
    if (!map.has(node.span.id)) map.set(node.span.id, node);
  }
  const roots = [];
  for (const node of nodes) {
    const { span } = node;
    let parent = span.shared ? own.get(span.id) : undefined;
    if (!parent && span.parentId) {
      const server = shared.get(span.parentId);
      const isSame = server && server.span.localEndpoint?.serviceName === span.localEndpoint?.serviceName;
      parent = isSame ? server : (own.get(span.parentId) ?? server);
    }
    if (parent && parent !== node && !isAbove(node, parent)) {
      node.parent = parent;
      parent.children.push(node);
    } else {
      roots.push(node);
    }
  }
  return roots;
}

function isAbove(node, other) {
  for (let at = other; at; at = at.parent) if (at === node) return true;
  return false;
}

const hostOf = (span) => span.tags?.["host.name"] ?? span.localEndpoint?.ipv4 ?? span.localEndpoint?.ipv6;

/**
 * Takes the skew of another host's clock out of what was called there: a server
 * cannot begin before its client. As Zipkin's page does it; nothing stored changes.
 */
export function adjust(roots) {
  let count = 0;
  const walk = (node, skew) => {
    const { span } = node;
    let own = skew && skew.host === hostOf(span) ? skew : null;
    const client = node.parent?.span;
    if (client && span.kind === "SERVER" && client.kind === "CLIENT") {
      const [there, here] = [hostOf(span), hostOf(client)];
      const called = (client.timestamp ?? 0) + (node.parent.adjusted ?? 0);
      if (there && here && there !== here && span.timestamp && client.timestamp && span.timestamp < called) {
        const room = (client.duration ?? 0) - (span.duration ?? 0);
        const latency = room >= 0 && span.duration && client.duration ? room / 2 : 1;
        own = { host: there, micros: Math.round(called + latency - span.timestamp) };
      }
    }
    if (own) {
      node.adjusted = own.micros;
      count += 1;
    }
    for (const child of node.children) walk(child, own);
  };
  for (const root of roots) walk(root, null);
  return count;
}

/** The tree as rows, the earliest first. */
export function flatten(roots) {
  const rows = [];
  const begun = (node) => (node.span.timestamp ?? 0) + node.adjusted;
  const walk = (node, depth) => {
    node.depth = depth;
    rows.push(node);
    for (const child of [...node.children].sort((a, b) => begun(a) - begun(b))) walk(child, depth + 1);
  };
  for (const root of [...roots].sort((a, b) => begun(a) - begun(b))) walk(root, 0);
  return rows;
}
