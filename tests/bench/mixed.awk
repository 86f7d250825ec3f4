# Reads embeddings as the text of coopvec and prints `rows` more: each lies between two of them, nearer to the first, with normal noise of 0.05 in
# each dimension, and each subspace is scaled to length 1. Each run prints the same rows.
{
    head = substr($0, 1, index($0, "["))
    count++
    split(substr($0, index($0, "[") + 1), x, ",")
    if (!n) {
        split(head, shape, /[x@]/)
        n = shape[2]
        dimensions = shape[1] * n
    }
    for (j = 1; j <= dimensions; j++) e[count, j] = x[j] + 0
}
END {
    srand(0)
    for (i = 0; i < rows; i++) {
        a = 1 + int(count * rand())
        b = 1 + int(count * rand())
        share = 0.5 * rand()
        line = head
        for (j = 1; j <= dimensions; j += n) {
            norm = 0
            for (d = j; d < j + n; d++) {
                x[d] = (1 - share) * e[a, d] + share * e[b, d] + 0.05 * sqrt(-2 * log(1 - rand())) * cos(6.283185307179586 * rand())
                norm += x[d] * x[d]
            }
            norm = sqrt(norm)
            for (d = j; d < j + n; d++) line = line sprintf("%s%.5f", d > 1 ? "," : "", x[d] / norm)
        }
        print line "]"
    }
}
