# Prints `rows` embeddings with 8 subspaces of 50 dimensions as the text of coopvec. In each subspace they lie around 12 random centres of length 1,
# with normal noise of 0.1 in each dimension, scaled to length 1. Each run prints the same rows.
function pair(scale,    r, a) {
    r = scale * sqrt(-2 * log(1 - rand()))
    a = 6.283185307179586 * rand()
    first = r * cos(a)
    second = r * sin(a)
}
BEGIN {
    srand(0)
    for (c = 0; c < 8 * 12; c++) {
        norm = 0
        for (j = 0; j < 50; j += 2) {
            pair(1)
            centre[c, j] = first
            centre[c, j + 1] = second
            norm += first * first + second * second
        }
        for (j = 0; j < 50; j++) centre[c, j] /= sqrt(norm)
    }
    for (i = 0; i < rows; i++) {
        printf "8x50@0000002a:["
        for (k = 0; k < 8; k++) {
            c = 12 * k + int(12 * rand())
            norm = 0
            for (j = 0; j < 50; j += 2) {
                pair(0.1)
                x[j] = centre[c, j] + first
                x[j + 1] = centre[c, j + 1] + second
                norm += x[j] * x[j] + x[j + 1] * x[j + 1]
            }
            scale = 1 / sqrt(norm)
            for (j = 0; j < 50; j++) printf "%s%.5f", k + j ? "," : "", x[j] * scale
        }
        print "]"
    }
}
