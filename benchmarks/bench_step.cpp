/* Times one step of an LSTM with one feature, as bench_step.py says, which compiles this file: once
 * as it is, for rnn_core and the table, and once with BACKEND for each backend of RTNeural, whose
 * namespaces keep them apart in one program. */
#include <memory>
#include <utility>
#include <vector>

struct Weights { /* in Keras's layout: gates in the order i f g o along the columns */
    size_t units;
    std::vector<std::vector<float>> kernel, recurrent_kernel;
    std::vector<float> bias;
};

struct Engine {
    virtual ~Engine() = default;
    /* Steps on from where it is, with x (steps,). Returns the sum of the first unit's outputs, so
     * that all of them are wanted, and the last step's in out (units,). */
    virtual float run(const float *x, size_t steps, float *out) = 0;
};

struct Backend {
    const char *name;
    std::unique_ptr<Engine> (*make)(const Weights &weights);
};

/* Filled before main. */
std::vector<Backend> &peers();

using Sizes = std::integer_sequence<int, 8, 16, 20, 32, 64>;

#ifdef BACKEND

#include <RTNeural/RTNeural.h>

namespace {

template <int Units> struct Model : Engine {
    RTNEURAL_NAMESPACE::ModelT<float, 1, Units, RTNEURAL_NAMESPACE::LSTMLayerT<float, 1, Units>>
        model;

    explicit Model(const Weights &weights) {
        auto &layer = model.template get<0>();
        layer.setWVals(weights.kernel);
        layer.setUVals(weights.recurrent_kernel);
        layer.setBVals(weights.bias);
        model.reset();
    }

    float run(const float *x, size_t steps, float *out) override {
        float sum = 0;
        for (size_t t = 0; t < steps; t++)
            sum += model.forward(x + t);
        std::copy_n(model.getOutputs(), Units, out);
        return sum;
    }
};

template <int... Units>
std::unique_ptr<Engine> make_of(const Weights &weights, std::integer_sequence<int, Units...>) {
    std::unique_ptr<Engine> made;
    ((weights.units == Units && (made = std::make_unique<Model<Units>>(weights))), ...);
    return made;
}

std::unique_ptr<Engine> make(const Weights &weights) { return make_of(weights, Sizes()); }

const Backend &registered = peers().emplace_back(Backend{BACKEND, make});

} // namespace

#else

#include <rnn_core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

std::vector<Backend> &peers() {
    static std::vector<Backend> all;
    return all;
}

namespace {

constexpr size_t CHECKED_STEPS = 2000, STEPS = 1000;
constexpr int ROUNDS = 501;
constexpr float TOLERANCE = 1e-3f; /* RTNeural's tanh is approximate */

using Vector = std::vector<float>;
using Matrix = std::vector<Vector>;

class Ours : public Engine {
    rnn_core_layer *layer;
    void *memory;
    rnn_core_stream *stream;
    size_t units;

    static Vector flat(const Matrix &matrix) {
        Vector all;
        for (const Vector &row : matrix)
            all.insert(all.end(), row.begin(), row.end());
        return all;
    }

  public:
    explicit Ours(const Weights &weights) : units(weights.units) {
        const Vector kernel = flat(weights.kernel), recurrent = flat(weights.recurrent_kernel);
        rnn_core_config config = {};
        config.cell = RNN_CORE_LSTM;
        config.features = 1;
        config.units = units;
        config.kernel = kernel.data();
        config.recurrent_kernel = recurrent.data();
        config.bias = weights.bias.data();
        layer = rnn_core_layer_create(&config);
        memory = std::aligned_alloc(RNN_CORE_ALIGNMENT, rnn_core_stream_bytes(layer));
        stream = rnn_core_stream_init(layer, memory);
    }
    Ours(const Ours &) = delete;
    Ours &operator=(const Ours &) = delete;
    ~Ours() override {
        std::free(memory);
        rnn_core_layer_free(layer);
    }

    float run(const float *x, size_t steps, float *out) override {
        float sum = 0;
        for (size_t t = 0; t < steps; t++) {
            rnn_core_step(stream, x + t, out);
            sum += out[0];
        }
        return sum;
    }
};

std::mt19937 generator(0);

Vector normal(size_t count, float scale) {
    std::normal_distribution<float> distribution(0, scale);
    Vector values(count);
    std::generate(values.begin(), values.end(), [&] { return distribution(generator); });
    return values;
}

Weights random_weights(size_t units) {
    const float scale = 1 / std::sqrt(static_cast<float>(units));
    Weights weights = {units, {normal(4 * units, scale)}, {}, normal(4 * units, scale)};
    for (size_t k = 0; k < units; k++)
        weights.recurrent_kernel.push_back(normal(4 * units, scale));
    return weights;
}

/* The largest difference between two engines' outputs over x. */
float difference(Engine &a, Engine &b, size_t units, const Vector &x) {
    Vector from_a(units), from_b(units);
    float largest = 0;
    for (const float &value : x) {
        a.run(&value, 1, from_a.data());
        b.run(&value, 1, from_b.data());
        for (size_t j = 0; j < units; j++) {
            const float now = std::fabs(from_a[j] - from_b[j]);
            largest = now <= largest ? largest : now; /* a NaN stays */
        }
    }
    return largest;
}

void check(const Backend &peer, const Weights &weights) {
    Ours ours(weights);
    const float found =
        difference(ours, *peer.make(weights), weights.units, normal(CHECKED_STEPS, 1));
    if (found <= TOLERANCE)
        return;
    std::fprintf(stderr, "%zu units: %s differs by %g\n", weights.units, peer.name, found);
    std::exit(EXIT_FAILURE);
}

volatile float sink;

double nanoseconds_per_step(Engine &engine, const Vector &x, float *out) {
    const auto start = std::chrono::steady_clock::now();
    sink = engine.run(x.data(), x.size(), out);
    const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - start;
    return taken.count() / static_cast<double>(x.size());
}

double median(std::vector<double> &values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/* Medians of interleaved rounds, by engine. */
std::vector<double> measure(const std::vector<std::unique_ptr<Engine>> &engines, size_t units) {
    const Vector x = normal(STEPS, 1);
    Vector out(units);
    std::vector<std::vector<double>> taken(engines.size());
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < engines.size(); i++)
            taken[i].push_back(nanoseconds_per_step(*engines[i], x, out.data()));
    std::vector<double> medians;
    for (std::vector<double> &values : taken)
        medians.push_back(median(values));
    return medians;
}

void print_row(size_t units) {
    const Weights weights = random_weights(units);
    std::vector<std::unique_ptr<Engine>> engines;
    engines.push_back(std::make_unique<Ours>(weights));
    for (const Backend &peer : peers()) {
        check(peer, weights);
        engines.push_back(peer.make(weights));
    }
    const std::vector<double> medians = measure(engines, units);
    std::printf("%5zu %8.0f", units, medians[0]);
    for (size_t i = 1; i < medians.size(); i++)
        std::printf(" %8.0f %5.2f", medians[i], medians[i] / medians[0]);
    std::printf("\n");
}

template <int... Units> void print_rows(std::integer_sequence<int, Units...>) {
    (print_row(Units), ...);
}

} // namespace

int main() {
    std::printf("%s, ns a step\nunits %8s", rnn_core_isa(), "rnn_core");
    for (const Backend &peer : peers())
        std::printf(" %8s ratio", peer.name);
    std::printf("\n");
    print_rows(Sizes());
}

#endif
