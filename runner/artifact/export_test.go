package artifact

// OpenLists opens a column of lists.
func OpenLists(path, name string) (*Reader[[]int32], error) {
	return open(path, []column{{name, "list<int32>"}}, func(c []*cursor, list *[]int32) error { return c[0].int32s(list) })
}
