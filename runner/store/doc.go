// Package store keeps what actions make: blobs by content, records of finished actions by key, runs and tags.
//
// A store is a directory, or a bucket that gocloud.dev/blob can reach (s3, gs, mem). It may import plugins/protocol for the
// kind of an error, internal/filelock, and nothing else of this module.
//
// # Layout
//
//	store.json                 the marker: that this is a store, or a cache of one, and of which layout
//	blobs/sha256/ab/<64 hex>   a file of an artifact
//	actions/ab/<key>.json      the Record of a finished action
//	jobs/<key>.json            what another process needs to know to do an action
//	runs/<id>.json             a Run
//	runs/<id>/<key>            an action that a run finished, until the run's own manifest names it
//	tags/<name>.json           a name for a run
//	leases/                    who writes right now
//	collectors/                who collects garbage right now
//	damaged/<64 hex>           blobs whose content was not what their name says
//	tmp/                       files in the making (directories only)
//	locks/                     files that processes lock (directories only)
//	packs/                     records once more, many in one object (buckets only)
//	generation                 changes when records or blobs are removed (buckets only)
//
// # What is touched
//
// The first write to an empty place makes the marker. A place that holds anything and has no marker, or one of another
// layout, is refused when it is opened, and nothing in it is created, swept or removed. All access to a directory is through
// an os.Root, so that no link within it leads outside. What is removed has a name that only this package gives, and, where it
// belongs to a process, a lock that nobody holds.
//
// # Publishing
//
// Every object appears whole or not at all. In a directory a file is written under tmp, flushed, renamed or linked into
// place, and the directory flushed. In a bucket an upload that fails is aborted; a process killed in the middle of a large
// upload leaves parts that no listing shows and that the bucket's own lifecycle rule for unfinished uploads removes. A record
// is written after its blobs and removed before them, so a record never promises what was never there; and a hit counts only
// if each blob exists with its recorded size, so even a blob that someone deleted costs work, not correctness. A record is
// created once: a second result under its key is dropped. A blob is compared with its digest before it is handed out.
//
// Files under tmp carry their owner's name. The owner holds a lock (flock) on tmp/<owner>.lock for as long as it lives,
// and makes the lock before the first file; so whoever gets the lock of another owner knows that the owner is dead, and
// Open sweeps what it left. A directory shared between machines must be on a file system that honours flock between them
// (local disks, NFS on Linux, Lustre mounted with flock).
//
// # Many look-ups
//
// A request to a bucket takes a round trip. LookupMany keeps the records that it finds in a local cache, together with the
// generation under which it found them. Whoever removes records or blobs changes the generation first, so as long as it is
// the same, all that is in the cache still holds, and one request says so. What the cache lacks is listed in many places at
// once, and records come from packs as far as they are there: a process leaves one of all that it recorded when its lease
// ends. What somebody removes by other means is found when a blob is wanted; then the generation changes, too.
//
// # Garbage collection beside a running run
//
// The roots are the runs, and what tags and live leases name. Writers need a lease (Begin, Join), and each digest and key
// that a writer looks up, puts or records is held by its lease before the store is touched. GC then works so:
//
//  1. It publishes a marker in collectors/ and waits until each live lease has answered it. A lease's owner looks for
//     collectors all the time. When it sees one it stops granting new holds and answers by publishing everything held so far.
//     The run computes on; only its next look-up or commit waits.
//  2. With every writer held, GC reads the roots, deletes records that no root reaches, then blobs that no remaining record
//     and no lease names.
//  3. It removes its marker, and the writers go on.
//
// A writer that begins meanwhile publishes its lease first and looks for collectors second, GC publishes its marker first and
// looks for leases second; storage is read-after-write consistent, so at least one of the two sees the other. Work in
// flight at the time of the answer touches only held names. Two collectors need no order between them: each waits for the
// writers and the writers wait for both. A writer that ends writes its run before it removes its lease, and GC reads leases
// before runs, so its names are seen in one place or the other.
//
// Who is alive: in a directory, whoever holds the flock of its lease, so a killed process is dead at once and a stopped one
// never is (GC gives up on it with an error after two minutes, having deleted nothing). In a bucket, whoever refreshed its
// lease in the last eight minutes by the storage's clock; clocks of machines do not matter. A process that could not refresh
// for half of that time stops itself: a writer's commits fail with ErrLeaseLost, and GC stops deleting. What remains is a
// single request to a bucket that hangs for minutes after that check. The worst it can do is remove a blob of a record, which
// is then no hit and is made again.
package store
