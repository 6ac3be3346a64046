package scaling

// Memory is the memory that plans assume, for tests outside of the package.
var Memory = memory
