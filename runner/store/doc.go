// Package store stores the results of actions: blobs by digest, records of finished actions by cache key, runs and
// tags.
//
// A store is a directory, or a bucket that gocloud.dev/blob supports (s3, gs, mem). Of this module, the package may
// import only plugins/protocol, plugins/bucket and internal/filelock.
//
// # Layout
//
//	store.json                 the marker: whether this is a store or a cache, and the version of its layout
//	blobs/sha256/ab/<64 hex>   a file of an artifact
//	actions/ab/<key>.json      the Record of a finished action
//	jobs/<key>.json            the description of an action for other processes
//	runs/<id>.json             a Run
//	runs/<id>/<key>            an action that a run finished, until the run's manifest lists it
//	tags/<name>.json           a name for a run
//	leases/                    the current writers
//	collectors/                the current garbage collectors
//	damaged/<64 hex>           blobs whose content did not match their name
//	tmp/                       temporary files (directories only)
//	locks/                     lock files, with the process that holds each (directories only)
//	packs/                     copies of records, many in one object (buckets only)
//	generation                 changes when records or blobs are removed (buckets only)
//
// # Protection of other files
//
// The first write to an empty place creates the marker. A place that is not empty and has no marker, or a marker of
// another layout, is refused when it is opened. Nothing in it is created, swept or removed. All access to a directory
// is through an os.Root, so that no link within it leads outside. Only files whose names this package generates are
// removed. Files that belong to a process are removed only if no process holds their lock.
//
// # Publishing
//
// Every object appears whole or not at all. In a directory, a file is written under tmp, flushed, and renamed or linked
// into place; then the directory is flushed. In a bucket, a failed upload is aborted. A process that is killed during a
// large upload leaves parts that no listing shows. The bucket's lifecycle rule for unfinished uploads removes them.
//
// A record is written after its blobs and removed before them, so a record never refers to a blob that never existed. A
// hit counts only if each blob exists with its recorded size, so even a blob that someone deleted costs work, not
// correctness. A record is created once: a second result under its key is dropped. A blob is compared with its digest
// before it is used.
//
// Files under tmp have their owner's name. The owner holds a lock (flock) on tmp/<owner>.lock while it lives, and
// creates the lock before its first file. A process that gets the lock of another owner therefore knows that the owner
// is dead. Open sweeps the files of dead owners. A directory shared between machines must be on a file system that
// supports flock across machines (local disks, NFS on Linux, Lustre mounted with flock).
//
// # Looking up many keys
//
// A request to a bucket takes a round trip. LookupMany keeps the records that it finds in a local cache, together with
// the generation in which it found them. Every process that removes records or blobs changes the generation first.
// While the generation is the same, the whole cache is valid, and one request confirms it. Keys that are not in the
// cache are found by listing many prefixes in parallel. Their records are read from packs where possible: a process
// writes a pack of its records when its lease ends. An object that was removed by other means is detected when a blob
// is read; the generation then changes, too.
//
// # Concurrent garbage collection
//
// The roots are the runs, and the names in tags and live leases. Writers need a lease (Begin, Join). A lease holds each
// digest and key that its writer looks up, puts or records, before the writer accesses the store. GC then works as
// follows:
//
//  1. It publishes a marker in collectors/ and waits until each live lease has answered it. A lease's owner checks
//     for collectors regularly. When it sees one, it stops granting new holds and answers by publishing everything held
//     so far. The run continues to compute; only its next lookup or commit waits.
//  2. While all writers wait, GC reads the roots and the records that they reach. It fails if one of these is damaged.
//     Then it deletes records that no root reaches, and blobs that no remaining record and no lease refers to.
//  3. It removes its marker, and the writers resume.
//
// A writer that begins meanwhile publishes its lease first and checks for collectors second. GC publishes its marker
// first and checks for leases second. Storage is read-after-write consistent, so at least one of the two sees the
// other. Work in flight at the time of the answer accesses only held names. Two collectors need no order between them:
// each waits for the writers, and the writers wait for both. A writer that ends writes its run before it removes its
// lease, and GC reads leases before runs, so its names are seen in one place or the other.
//
// In a directory, a process is alive if it holds the flock of its lease. A killed process is dead at once. A stopped
// process stays alive; GC fails after two minutes of waiting for it, without having deleted anything. In a bucket, a
// process is alive if it refreshed its lease in the last eight minutes by the storage's clock; clocks of machines do
// not matter. A process that could not refresh for half of that time stops itself: a writer's commits fail with
// ErrLeaseLost, and GC stops deleting. The remaining risk is a single request to a bucket that hangs for minutes after
// that check. The worst effect is that a blob of a record is removed. The record is then not a hit, and its action runs
// again.
package store
