#!/usr/bin/env python3
"""Compares meshproof with the running Envoy on random meshes. See README.md.

For each mesh: `meshproof compile` gives the configuration of each addressed proxy, Envoy runs it and answers the requests,
`meshproof test` says what it would have answered; verdict, status, details, flags and body must be equal. With --dumps `meshproof test` gets
no manifests but what Envoy's admin port prints of each proxy (`/config_dump`).
The last line is `N decisions, M differences`. Exit status: 0 none, 1 differences, 2 usage, 77 no Envoy (skipped).
"""
import argparse, collections, copy, json, multiprocessing, os, secrets, shutil, subprocess, sys, tempfile, time, traceback

import admin_dump, meshcase, random_mesh
from envoyproc import EnvoyError, find_envoy
from judge import Judge

PER_MESH = 200          # requests
BATCH = 6               # meshes that one Envoy has loaded at a time
SECURITY = ('AuthorizationPolicy', 'RequestAuthentication', 'PeerAuthentication')


class Meshproof:
    def __init__(self, binary):
        self.binary = os.path.abspath(binary)

    def run(self, args, cwd, ok):
        """(object on standard output, None) or (None, what went wrong)"""
        try:
            p = subprocess.run([self.binary] + args, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return None, 'no answer within 60 s: meshproof ' + ' '.join(args)
        err = p.stderr.decode('utf-8', 'replace').strip()[-2000:]
        if p.returncode not in ok:
            return None, 'status %d: meshproof %s: %s' % (p.returncode, ' '.join(args), err)
        try:
            return json.loads(p.stdout), None
        except ValueError as e:
            return None, 'no JSON (%s): meshproof %s: %s' % (e, ' '.join(args), err)

    def compile(self, cwd, workload):
        return self.run(['compile', workload, 'mesh.yaml', '--format', 'json'], cwd, (0,))

    def test(self, cwd, file='cases.meshtest.yaml'):
        """The verdict objects of the file's cases, in order; an object {"error": text} where a case could not be run."""
        out, err = self.run(['test', file, '--format', 'json'], cwd, (0, 1, 2, 3))
        if err:
            return None, err
        try:
            return [c['got'] if c.get('got') else {'error': c.get('message') or c.get('outcome')} for c in out['files'][0]['cases']], None
        except (KeyError, IndexError, TypeError) as e:
            return None, 'unexpected result of `test`: %r' % e


def stage(q, r, v):
    """Where the request was decided, as far as Envoy shows it; for the summary only."""
    d = v.get('details') or ''
    a = meshcase.attribution(r)
    if v['verdict'] in ('error', 'undetermined'):
        return v['verdict']
    if a:
        return a[0]
    for text, name in (('jwt_authn', 'jwt'), ('ext_authz', 'custom'), ('route_not_found', 'no route')):
        if d.startswith(text):
            return name
    return 'allow' if v['verdict'] == 'allow' else 'mtls' if v['verdict'] == 'reject' and not d.startswith('http') else 'http'


class Run:
    """One Envoy and its share of the meshes."""

    def __init__(self, judge, meshproof, keep=None, dumps=False):
        self.j, self.mp, self.keep, self.dumps = judge, meshproof, keep, dumps
        self.dir = tempfile.mkdtemp(prefix='differential-')
        self.kinds, self.diffs, self.decisions, self.broken = collections.Counter(), [], 0, []

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def batch(self, seeds, requests):
        work, proxies = [], []
        for s in seeds:
            m = random_mesh.Mesh(s, requests)
            d = os.path.join(self.dir, s.replace('/', '-'))
            random_mesh.write(m, d)
            slot, bad = {}, None
            for w in m.targets:
                p, bad = self.mp.compile(d, w)
                if bad:
                    break
                p['principal'] = m.view.workloads[w]['principal']
                slot[w] = len(proxies)
                proxies.append(p)
            if bad:
                self.broken.append((m, bad))
                self.save(m, d, [])
                shutil.rmtree(d, ignore_errors=True)
                continue
            work.append((m, d, slot))
        loaded = self.j.load(proxies)
        dump = admin_dump.fetch(self.j.envoy) if self.dumps else None
        qs = []
        for k, (m, d, slot) in enumerate(work):
            for i, c in enumerate(m.cases):
                qs.append(dict(meshcase.request(m.view, c, (k, i), m.files.get), proxy=slot[c['to']['workload']]))
        results = self.j.run(qs)
        base = 0
        for m, d, slot in work:
            mine = list(zip(m.cases, qs[base:base + len(m.cases)], results[base:base + len(m.cases)]))
            base += len(m.cases)
            if self.dumps:
                self._dumped(m, d, mine, {w: admin_dump.of_proxy(dump, loaded[n], meshcase.POD_IP) for w, n in slot.items()})
            else:
                self._mesh(m, d, mine)
            shutil.rmtree(d, ignore_errors=True)

    def _mesh(self, m, d, mine):
        want = [meshcase.verdict(q, r) for _, q, r in mine]
        with open(os.path.join(d, 'cases.meshtest.yaml'), 'w', encoding='utf-8') as f:
            f.write(random_mesh.dump_cases(with_expect(c, v) for (c, _, _), v in zip(mine, want)))
        got, bad = self.mp.test(d)
        if bad or len(got) != len(mine):
            self.broken.append((m, bad or '%d verdicts for %d cases' % (len(got), len(mine))))
            self.save(m, d, [])
            return
        wrong = []
        for (c, q, r), w, g in zip(mine, want, got):
            self.decisions += 1
            if meshcase.differences(w, g) or w['verdict'] == 'error':
                wrong.append((c, q, g))
            else:
                self.kinds[w['verdict'], stage(q, r, w), q['protocol']] += 1
        if not wrong:
            return
        # Alone, each on a new connection: what remains is no accident.
        again = self.j.run([dict(q, fresh=True) for _, q, _ in wrong], 1 if len(wrong) <= 40 else 16)
        found = []
        for (c, q, g), r in zip(wrong, again):
            w = meshcase.verdict(q, r)
            keys = meshcase.differences(w, g) or (['verdict'] if w['verdict'] == 'error' else [])
            if keys:
                found.append((c, q, r, w, g, keys))
            else:
                self.kinds[w['verdict'], stage(q, r, w), q['protocol']] += 1
        for c, q, r, w, g, keys in found:
            self.kinds['DIFFERENT', stage(q, r, w), q['protocol']] += 1
            self.diffs.append({'seed': m.seed, 'case': c, 'envoy': w, 'meshproof': g, 'keys': keys})
        if found:
            self.save(m, d, found)

    def _dumped(self, m, d, mine, dumps):
        """Each proxy's cases, answered from its dump alone."""
        for w, dump in dumps.items():
            sent = [(admin_dump.case(c, q), q, r) for c, q, r in mine if c['to']['workload'] == w]
            if not sent:
                continue
            with open(os.path.join(d, 'config_dump.json'), 'w', encoding='utf-8') as f:
                json.dump(dump, f)
            want = [meshcase.verdict(q, r) for _, q, r in sent]
            self._write_dumped(d, 'cases.meshtest.yaml', [with_expect(c, v) for (c, _, _), v in zip(sent, want)])
            got, bad = self.mp.test(d)
            if bad or len(got) != len(sent):
                self.broken.append((m, '%s: %s' % (w, bad or '%d verdicts for %d cases' % (len(got), len(sent)))))
                self.save(m, d, [])
                continue
            wrong = []
            for (c, q, r), v, g in zip(sent, want, got):
                self.decisions += 1
                if meshcase.differences(v, g) or v['verdict'] == 'error':
                    wrong.append((c, q, g))
                else:
                    self.kinds[v['verdict'], stage(q, r, v), q['protocol']] += 1
            again = self.j.run([dict(q, fresh=True) for _, q, _ in wrong], 1) if wrong else []
            found = []
            for (c, q, g), r in zip(wrong, again):
                v = meshcase.verdict(q, r)
                keys = meshcase.differences(v, g) or (['verdict'] if v['verdict'] == 'error' else [])
                self.kinds['DIFFERENT' if keys else v['verdict'], stage(q, r, v), q['protocol']] += 1
                if keys:
                    found.append(with_expect(c, v))
                    self.diffs.append({'seed': m.seed, 'case': c, 'envoy': v, 'meshproof': g, 'keys': keys})
            if found:
                self._write_dumped(d, 'differences.meshtest.yaml', found)
                self.save(m, d, [])

    @staticmethod
    def _write_dumped(d, name, cases):
        with open(os.path.join(d, name), 'w', encoding='utf-8') as f:
            f.write(random_mesh.dump_cases(cases, ['config_dump.json']))

    def save(self, m, d, found):
        if self.keep:
            to = os.path.join(self.keep, m.seed.replace('/', '-'))
            shutil.copytree(d, to, dirs_exist_ok=True)
            if found:
                with open(os.path.join(to, 'differences.meshtest.yaml'), 'w', encoding='utf-8') as f:
                    f.write(random_mesh.dump_cases(with_expect(c, w) for c, _, _, w, _, _ in found))


def with_expect(case, v):
    e = {k: v[k] for k in ('verdict', 'status', 'details') if k in v}
    return dict(case, expect=e if v['verdict'] in ('allow', 'deny', 'reject', 'undetermined') else {})


# -- shrinking ---------------------------------------------------------------------------------------------------------
class Shrinker:
    """Makes mesh and case smaller while the same difference stays."""

    def __init__(self, run, mesh, diff, seconds):
        self.run, self.files, self.diff = run, mesh.files, diff
        self.end = time.monotonic() + seconds
        self.docs, self.case = copy.deepcopy(mesh.docs), copy.deepcopy(diff['case'])
        self.last = None

    def differs(self, docs, case):
        """(Envoy's verdict, meshproof's, raw result, proxy) where they still differ in the same keys, else None."""
        d = tempfile.mkdtemp(dir=self.run.dir)
        try:
            view = meshcase.Mesh(docs)
            w = case['to']['workload']
            if view.workloads.get(w, {}).get('mode') in (None, 'none'):
                return None
            with open(os.path.join(d, 'mesh.yaml'), 'w', encoding='utf-8') as f:
                f.write(random_mesh.dump(docs))
            for t in ([{'file': case['jwt']}] if case.get('jwt') else []) + (case.get('jwts') or []):
                with open(os.path.join(d, t['file']), 'w', encoding='utf-8') as f:
                    f.write(self.files[t['file']])
            p, bad = self.run.mp.compile(d, w)
            if bad:
                return None
            p['principal'] = view.workloads[w]['principal']
            self.run.j.load([p])
            q = dict(meshcase.request(view, case, 0, self.files.get), proxy=0, fresh=True)
            r = self.run.j.run([q], 1)[0]
            v = meshcase.verdict(q, r)
            with open(os.path.join(d, 'cases.meshtest.yaml'), 'w', encoding='utf-8') as f:
                f.write(random_mesh.dump_cases([with_expect(case, v)]))
            got, bad = self.run.mp.test(d)
            if bad or not got or meshcase.differences(v, got[0]) != self.diff['keys']:
                return None
            was, now = self.diff, got[0]
            if ('error' in now) != ('error' in was['meshproof']) or v['verdict'] != was['envoy']['verdict'] or \
                    now.get('verdict') != was['meshproof'].get('verdict'):
                return None
            return v, now, r, p
        except (KeyError, IndexError, TypeError, AttributeError):
            return None
        finally:
            shutil.rmtree(d, ignore_errors=True)

    def try_(self, docs, case):
        if time.monotonic() > self.end:
            return False
        x = self.differs(docs, case)
        if x is None:
            return False
        self.docs, self.case, self.last = docs, case, x
        return True

    def shrink(self):
        self.last = self.differs(self.docs, self.case)
        if self.last is None:
            return False
        n = 2                                           # whole objects first, in chunks that get smaller
        while time.monotonic() < self.end:
            size, i, any_ = max(1, len(self.docs) // n), 0, False
            while i < len(self.docs):
                if self.try_(self.docs[:i] + self.docs[i + size:], self.case):
                    any_ = True
                else:
                    i += size
            if size == 1 and not any_:
                break
            n = n * 2 if size > 1 else n
        changed = True
        while changed and time.monotonic() < self.end:
            changed = self._case() | self._specs()
        return True

    def _case(self):
        any_ = False
        for key in ('jwts', 'jwt', 'sni', 'ext_authz', 'host', 'method', 'path', 'protocol', 'headers'):
            if key in self.case:
                any_ |= self.try_(self.docs, {k: v for k, v in self.case.items() if k != key})
        for h in list(self.case.get('headers') or {}):
            any_ |= self.try_(self.docs, dict(self.case, headers={k: v for k, v in self.case['headers'].items() if k != h}))
        for i in range(len(self.case.get('jwts') or []) - 1, -1, -1):
            any_ |= self.try_(self.docs, dict(self.case, jwts=self.case['jwts'][:i] + self.case['jwts'][i + 1:]))
        if 'ip' in self.case['to'] and ':' not in self.case['to']['ip']:
            any_ |= self.try_(self.docs, dict(self.case, to={k: v for k, v in self.case['to'].items() if k != 'ip'}))
        plain = {'outside': True, 'ip': self.case['from'].get('ip', '10.0.0.9'), 'tls': 'plaintext'}
        if self.case['from'] != plain:
            any_ |= self.try_(self.docs, dict(self.case, **{'from': plain}))
        return any_

    def _specs(self):
        any_ = False
        for i in range(len(self.docs)):
            if self.docs[i]['kind'] in SECURITY + ('VirtualService',):
                for path in sorted(_paths(self.docs[i]['spec']), key=len):
                    docs = copy.deepcopy(self.docs)
                    if _remove(docs[i]['spec'], path):
                        any_ |= self.try_(docs, self.case)
                    if time.monotonic() > self.end:
                        return any_
        return any_


def _paths(x, at=()):
    if isinstance(x, (dict, list)):
        for k, v in (x.items() if isinstance(x, dict) else reversed(list(enumerate(x)))):
            yield at + (k,)
            yield from _paths(v, at + (k,))


def _remove(x, path):
    for k in path[:-1]:
        if not (isinstance(x, dict) and k in x or isinstance(x, list) and k < len(x)):
            return False
        x = x[k]
    k = path[-1]
    if isinstance(x, list) and len(x) < 2 or (isinstance(x, dict) and k not in x or isinstance(x, list) and k >= len(x)):
        return False
    if isinstance(x, dict) and k in ('action', 'provider', 'issuer', 'jwks', 'key', 'name'):
        return False
    del x[k]
    return True


def report(s, diff, out):
    w, g, r, p = s.last
    chain = [c for l in p['listeners'] for c in l.get('filter_chains', []) if c.get('name') == r.get('filter_chain')] or \
            [c for l in p['listeners'] if l.get('name') == 'virtualInbound' or p['mode'] == 'gateway' for c in l.get('filter_chains', [])
             if (c.get('filter_chain_match') or {}).get('destination_port') in (None, s.case['to']['port'])]
    filters = []
    for c in chain:
        for f in c.get('filters', []):
            filters += [x for x in f.get('typed_config', {}).get('http_filters') or [f] if x not in filters]
    text = json.dumps([f for f in filters if 'router' not in f['name']], indent=1)
    print('\n=== DIFFERENCE in %s: mesh %s, case %s' % (', '.join(diff['keys']), diff['seed'], diff['case']['name']), file=out)
    print('--- mesh.yaml\n%s--- cases.meshtest.yaml\nmesh: [mesh.yaml]\n%s' % (
        random_mesh.dump(s.docs), random_mesh.yaml.dump({'tests': [with_expect(s.case, w)]}, Dumper=random_mesh.Dumper, sort_keys=False, allow_unicode=True)), file=out)
    for t in ([{'file': s.case['jwt']}] if s.case.get('jwt') else []) + (s.case.get('jwts') or []):
        print('--- %s\n%s' % (t['file'], s.files[t['file']]), file=out)
    print('--- Envoy:     %s\n--- meshproof: %s' % (json.dumps(w), summary(g)), file=out)
    print('--- Envoy saw: %s' % json.dumps({k: v for k, v in r.items() if k in (
        'connection', 'filter_chain', 'route', 'remote_ip', 'tls_failure', 'client_error', 'rbac_metadata', 'ext_authz_asked', 'upstream', 'error', 'note') and v})[:3000], file=out)
    print('--- filters of the chain%s\n%s' % (' (cut)' if len(text) > 8000 else '', text[:8000]), file=out)


def summary(g):
    keys = ('verdict', 'status', 'flags', 'details', 'body', 'grpc_status', 'decided_by', 'missing', 'error')
    return json.dumps({k: g[k] for k in keys if g.get(k) is not None})


# -- many meshes -------------------------------------------------------------------------------------------------------
def worker(args, seeds, requests, pipe):
    """Judges the meshes that it takes from the queue, until there are none."""
    try:
        with Judge() as j:
            run = Run(j, Meshproof(args.meshproof), args.keep, args.dumps)
            try:
                while True:
                    group = []
                    while len(group) < BATCH:
                        s = seeds.get()
                        if s is None:
                            break
                        group.append(s)
                    if group:
                        run.batch(group, requests)
                    pipe.put(('part', run.decisions, dict(run.kinds), run.diffs, [(m.seed, b) for m, b in run.broken]))
                    run.decisions, run.diffs, run.broken = 0, [], []
                    run.kinds.clear()
                    if len(group) < BATCH:
                        break
            finally:
                run.close()
        pipe.put(('end',))
    except BaseException:
        pipe.put(('failed', traceback.format_exc()))


def shrink_all(args, diffs, requests, out=sys.stdout):
    """Prints one reproduction of each kind of difference; with --dumps the case as it is (--keep has the dump)."""
    kinds = {}
    for d in diffs:
        g, w = d['meshproof'], d['envoy']
        kinds.setdefault((tuple(d['keys']), w['verdict'], g.get('verdict'), str(g.get('missing') or g.get('error') or '')[:60],
                          w.get('status'), (w.get('details') or '').split('[')[0].split('{')[0]), []).append(d)
    print('\n%d differences of %d kinds:' % (len(diffs), len(kinds)), file=out)
    for k, ds in sorted(kinds.items(), key=lambda x: -len(x[1])):
        print('%6d %s: Envoy %s, meshproof %s' % (len(ds), ', '.join(k[0]), json.dumps(ds[0]['envoy']), summary(ds[0]['meshproof'])), file=out)
        if args.dumps:
            print('       mesh %s, case %s' % (ds[0]['seed'], json.dumps(ds[0]['case'])), file=out)
    if args.dumps:
        return
    with Judge() as j:
        run = Run(j, Meshproof(args.meshproof))
        try:
            for ds in sorted(kinds.values(), key=lambda x: -len(x))[:args.reproductions]:
                s = Shrinker(run, random_mesh.Mesh(ds[0]['seed'], requests), ds[0], args.shrink_seconds)
                if s.shrink():
                    report(s, ds[0], out)
                else:
                    print('\n=== DIFFERENCE not seen again: mesh %s, case %s' % (ds[0]['seed'], json.dumps(ds[0]['case'])), file=out)
                out.flush()
        finally:
            run.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--meshproof', metavar='BIN', help='the binary')
    ap.add_argument('--decisions', type=int, default=20000)
    ap.add_argument('--seed', default='1', help='seed of the meshes (default 1)')
    ap.add_argument('--fresh', action='store_true', help='half of the decisions with a seed of its own, which is printed')
    ap.add_argument('--jobs', type=int, default=2)
    ap.add_argument('--keep', metavar='DIR', help='keep the meshes that differ')
    ap.add_argument('--mesh', help='only this mesh, as SEED/NUMBER')
    ap.add_argument('--reproductions', type=int, default=4, help='differences that are shrunk and printed')
    ap.add_argument('--shrink-seconds', type=float, default=15)
    ap.add_argument('--dumps', action='store_true', help="answers from Envoy's /config_dump in place of the manifests")
    ap.add_argument('--recorded', metavar='DIR', help='check the recorded meshes of DIR instead (recorded.py)')
    args = ap.parse_args()
    if args.recorded:
        return subprocess.call([sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), 'recorded.py'), args.recorded])
    if not args.meshproof or not os.access(args.meshproof, os.X_OK):
        ap.error('no meshproof binary: %s' % args.meshproof)
    try:
        find_envoy()
    except EnvoyError as e:
        print('*' * 80 + '\nSKIPPED: %s\nNothing was compared with the real Envoy. This is not a pass.\n' % e + '*' * 80, file=sys.stderr)
        return 77
    total = -(-args.decisions // PER_MESH)
    fixed = total if not args.fresh else total - total // 2
    seeds = ['%s/%d' % (args.seed, i) for i in range(fixed)]
    if args.fresh:
        fresh = secrets.token_hex(4)
        seeds += ['%s/%d' % (fresh, i) for i in range(total - fixed)]
    if args.mesh:
        seeds = [args.mesh]
    print('seed %s%s, %d meshes, %d requests each' % (args.seed, ', fresh seed ' + fresh if args.fresh else '', len(seeds), PER_MESH), flush=True)
    t0 = time.time()
    ctx = multiprocessing.get_context('fork')
    queue, pipe = ctx.Queue(), ctx.Queue()
    jobs = max(1, min(args.jobs, len(seeds)))
    ps = [ctx.Process(target=worker, args=(args, queue, PER_MESH, pipe)) for _ in range(jobs)]
    for p in ps:
        p.start()
    for s in seeds + [None] * jobs:
        queue.put(s)
    kinds, diffs, broken, n, failed, open_, shown, nd = collections.Counter(), [], [], 0, [], jobs, 0, 0
    while open_:
        try:
            x = pipe.get(timeout=5)
        except Exception:
            dead = [p for p in ps if not p.is_alive() and p.exitcode not in (0, None)]
            if dead and pipe.empty():
                failed.append('a worker ended with status %s' % dead[0].exitcode)
                break
            continue
        if x[0] == 'part':
            n += x[1]
            kinds.update(x[2])
            nd += len(x[3]) + len(x[4])
            diffs += x[3][:max(0, 2000 - len(diffs))]
            broken += x[4][:max(0, 50 - len(broken))]
            if n - shown >= 100000:
                shown = n
                print('%d decisions, %d differences, %.0f s' % (n, nd, time.time() - t0), flush=True)
        elif x[0] == 'end':
            open_ -= 1
        else:
            failed.append(x[1])
            open_ -= 1
    for p in ps:
        p.join(10)
        if p.is_alive():
            p.terminate()
    t = time.time() - t0
    for k, v in sorted(kinds.items()):
        print('%8d %-12s %-9s %s' % (v, *k))
    print('%.0f decisions/s, %.1f s' % (n / t, t))
    for s, b in broken[:10]:
        print('mesh %s: %s' % (s, b))
    if diffs:
        shrink_all(args, diffs, PER_MESH)
    for f in failed:
        print(f, file=sys.stderr)
    if failed:
        print('the run is not complete')
    print('%d decisions, %d differences' % (n, nd))
    return 1 if nd or failed or not n else 0


if __name__ == '__main__':
    sys.exit(main())
