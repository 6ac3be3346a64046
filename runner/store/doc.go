// Package store keeps what actions make: blobs by content, records of finished actions by key, runs and tags.
//
// A store is a folder, or a bucket that gocloud.dev/blob can reach (s3, gs, mem). It may import plugins/protocol for the
// kind of an error, and nothing else of this module.
//
// # Layout
//
//	blobs/sha256/ab/<64 hex>   a file of an artifact
//	actions/ab/<key>.json      the Record of a finished action
//	runs/<id>.json             a Run
//	runs/<id>/<key>            an action that a run finished, until the run's own manifest names it
//	tags/<name>.json           a name for a run
//	leases/                    who writes right now
//	tmp/                       files in the making (folders only)
//
// # Publishing
//
// Every object appears whole or not at all. In a folder a file is written under tmp, flushed, renamed into place, and the
// folder flushed. In a bucket an upload that fails is aborted; a process killed in the middle of a large upload leaves
// parts that no listing shows and that the bucket's own lifecycle rule for unfinished uploads removes. A record is written
// after its blobs and removed before them, so a record never promises what was never there; and a hit counts only if each
// blob exists with its recorded size, so even a blob that someone deleted costs work, not correctness.
//
// Files under tmp carry their owner's name. The owner holds a lock (flock) on tmp/<owner>.lock for as long as it lives,
// and makes the lock before the first file; so whoever gets the lock of another owner knows that the owner is dead, and
// Open sweeps what it left. A folder shared between machines must be on a file system that honours flock between them
// (local disks, NFS on Linux, Lustre mounted with flock).
//
// # Garbage collection beside a running run
//
// The roots are the runs, and what tags and live leases name. Writers need a lease (Begin), and each digest and key that a
// writer looks up, puts or records is held by its lease before the store is touched. GC then works so:
//
//  1. It publishes a marker in leases/ and waits until each live lease has answered it. A lease's owner looks for markers
//     all the time. When it sees one it stops granting new holds and answers by publishing everything held so far. The
//     run computes on; only its next look-up or commit waits.
//  2. With every writer held, GC reads the roots, deletes records that no root reaches, then blobs that no remaining record
//     and no lease names.
//  3. It removes the marker, and the writers go on.
//
// A writer that begins meanwhile publishes its lease first and looks for markers second, GC publishes its marker first and
// looks for leases second; storage is read-after-write consistent, so at least one of the two sees the other. Work in
// flight at the time of the answer touches only held names. Two collectors need no order between them: each waits for the
// writers and the writers wait for both. A writer that ends writes its run before it removes its lease, and GC reads leases
// before runs, so its names are seen in one place or the other.
//
// Who is alive: in a folder, whoever holds the flock of its lease, so a killed process is dead at once and a stopped one
// never is (GC gives up on it with an error after two minutes, having deleted nothing). In a bucket, whoever refreshed its
// lease in the last two minutes by the storage's clock; clocks of machines do not matter. A process that could not refresh
// for half of that time stops itself: a writer's commits fail with ErrLeaseLost, and GC stops deleting. What remains is a
// single request to a bucket that hangs for over a minute after that check. The worst it can do is remove a blob of a
// record, which is then no hit and is made again.
package store
