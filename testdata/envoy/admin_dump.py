"""One proxy's `/config_dump` out of what the judge's Envoy prints of itself.

Envoy's own words stay: every filter, route and TLS context is what it holds and how it writes it. Put back is only what the judge moved
(README.md): the proxies share one process, so each gets its own listeners; names, addresses and original_dst for loopback ports and the PROXY
protocol; the node; the providers' cluster names.
"""
import copy, json

A = 'type.googleapis.com/envoy.admin.v3.'
LISTENER = 'type.googleapis.com/envoy.extensions.filters.listener.'


def fetch(envoy):
    status, body = envoy.admin('/config_dump')
    if status != 200:
        raise RuntimeError('/config_dump: status %d' % status)
    return json.loads(body)


def of_proxy(dump, proxy, ip):
    """The dump of one loaded proxy (judge.Proxy) as its own Envoy would print it."""
    mine = {l['loaded']: l for l in proxy.listeners}
    out = []
    for section in dump['configs']:
        kind = section['@type'][len(A):]
        if kind == 'ListenersConfigDump':
            section = dict(section, dynamic_listeners=[
                _listener(copy.deepcopy(d), mine[d['name']]) for d in section.get('dynamic_listeners', []) if d['name'] in mine])
        elif kind == 'BootstrapConfigDump':
            section = copy.deepcopy(section)
            section['bootstrap']['node'] = _node(proxy, ip)
        out.append(section)
    return {'configs': out}


def _node(proxy, ip):
    role = 'router' if proxy.mode == 'gateway' else 'sidecar'
    pod = proxy.workload + '-0'
    return {'id': '%s~%s~%s.%s~%s.svc.cluster.local' % (role, ip, pod, proxy.ns, proxy.ns), 'cluster': '%s.%s' % (proxy.workload, proxy.ns),
            'metadata': {'NAME': pod, 'NAMESPACE': proxy.ns, 'WORKLOAD_NAME': proxy.workload, 'INSTANCE_IPS': ip}}


def _listener(d, e):
    d['name'] = e['name']
    for state in ('active_state', 'warming_state', 'draining_state'):
        if state in d:
            l = d[state]['listener']
            l['name'] = e['name']
            l['address'] = {'socket_address': {'address': e['oip'] or '0.0.0.0', 'port_value': e['oport']}}
            l['listener_filters'] = [x for f in l.get('listener_filters', []) for x in _listener_filter(f, e)]
            _providers(l)
    return d


def _listener_filter(f, e):
    if not f['name'].endswith('proxy_protocol'):
        return [f]
    if not e['original_dst']:
        return []
    return [{'name': 'envoy.filters.listener.original_dst', 'typed_config': {'@type': LISTENER + 'original_dst.v3.OriginalDst'}}]


def _providers(x):
    """The judge's one authorizer is asked in the name of a provider, which stands in a header."""
    if isinstance(x, dict):
        for h in x.get('initial_metadata') or []:
            if h.get('key') == 'x-judge-provider' and 'envoy_grpc' in x:
                x['envoy_grpc']['cluster_name'] = h['value'].split(';')[0]
                del x['initial_metadata']
                break
        if 'server_uri' in x:
            request = x.get('authorization_request', {})
            for h in request.get('headers_to_add') or []:
                if h['key'] == 'x-judge-provider':
                    x['server_uri']['cluster'] = h['value'].split(';')[0].replace('%%', '%')
            request['headers_to_add'] = [h for h in request.get('headers_to_add') or [] if not h['key'].startswith('x-judge-')]
        for y in x.values():
            _providers(y)
    elif isinstance(x, list):
        for y in x:
            _providers(y)


def case(c, q):
    """The same request to a mesh of which only the proxy is known: what the manifests would have said is written out."""
    s = q['source']
    fr = {'outside': True, 'tls': s['tls'], 'ip': s['ip']}
    if s['principal']:
        fr['identity'] = s['principal']
    out = {'name': c['name'], 'from': fr, 'to': {'workload': c['to']['workload'], 'port': q['destination']['port'], 'ip': q['destination']['ip']}}
    out.update({k: c[k] for k in ('protocol', 'method', 'path', 'headers', 'jwt', 'jwts', 'ext_authz') if k in c})
    out['host'] = q['authority']
    if s['sni'] is not None:
        out['sni'] = s['sni']
    return out
