#include "ops/gemm.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "ops/cases/format_reference.h"
#include "ops/cases/op_case.h"

namespace coat {

namespace {

enum class Special { kNone, kNaN, kInfinity };

struct GemmSetup {
  std::int64_t m = 0, n = 0, k = 0;
  Format a, b;
  DType d = DType::kF32;
  GemmLayout layout = GemmLayout::kNT;
  bool accumulate = false;
  bool fast_accumulation = false;
  Data a_data = Data::kNormal;
  Data b_data = Data::kNormal;
  Special special = Special::kNone;
  bool perf = false;  // large: only some rows are checked

  Shape AShape() const { return layout == GemmLayout::kTN ? Shape{k, m} : Shape{m, k}; }
  Shape BShape() const { return layout == GemmLayout::kNT ? Shape{n, k} : Shape{k, n}; }
  bool WholeNumbers() const { return a_data == Data::kIntegers && b_data == Data::kIntegers; }
  /// FP8 whose extents are not as the contract has them for tensor cores.
  bool BeyondTensorCores() const {
    if (a.scaling == Scaling::kNone || m * n == 0) return false;
    return n % 16 != 0 || k % 16 != 0 || (a.scaling != Scaling::kTensor && m % 4 != 0);
  }
  std::string Name() const {
    constexpr std::string_view kLayouts[] = {"NT", "NN", "TN"};
    constexpr std::string_view kSpecials[] = {"", ",nan", ",infinity"};
    return fmt::format("Gemm{}/{}x{}->{}{}{},M={},N={},K={},{}x{}{}", kLayouts[static_cast<int>(layout)], a.ToString(),
                       b.ToString(), NameOf(d), accumulate ? "+=" : "", fast_accumulation ? ",fast" : "", m, n, k,
                       NameOf(a_data), NameOf(b_data), kSpecials[static_cast<int>(special)]);
  }
};

/// The code of a whole number that the format has.
std::uint8_t CodeOf(DType format, int value) {
  int code = 0;
  while (ExactFp8(format, static_cast<std::uint8_t>(code)) != value) ++code;
  return static_cast<std::uint8_t>(code);
}

/// An operand in any format. FP8 operands of whole numbers have scales 1/2, 1 and 2, so that sums of products stay
/// exact.
void AddOperand(Operands& operands, std::string_view name, Shape shape, const Format& format, std::uint64_t seed,
                Data data) {
  if (format.scaling == Scaling::kNone) {
    operands.Input(name, shape, format.dtype, seed, data);
    return;
  }
  const QuantizedView x = operands.QuantizedInput(name, shape, format, seed, data);
  if (data != Data::kIntegers) return;
  std::uint8_t codes[9];
  for (int value = -4; value <= 4; ++value) codes[value + 4] = CodeOf(format.dtype, value);
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    x.codes.As<std::uint8_t>()[i] = codes[(i * 7 + i / 11 + static_cast<std::int64_t>(seed)) % 9];
  }
  for (std::int64_t i = 0; i < x.scales.elements(); ++i) {
    x.scales.As<float>()[i] = std::ldexp(1.0f, static_cast<int>(i % 3) - 1);
  }
}

/// Makes the middle element of `x`, or the scale of an FP8 tensor, NaN or infinite.
void Plant(Special special, const Operands& operands, std::string_view name, const Format& format) {
  if (special == Special::kNone) return;
  const bool nan = special == Special::kNaN;
  const float value = nan ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  const TensorView x = operands[name];
  const std::int64_t middle = x.elements() / 2;
  if (format.dtype == DType::kF32) x.As<float>()[middle] = value;
  if (format.dtype == DType::kBF16) x.As<std::uint16_t>()[middle] = nan ? 0x7fc0 : 0x7f80;
  if (!IsFp8(format.dtype)) return;
  if (nan) {
    x.As<std::uint8_t>()[middle] = 0x7f;
  } else {
    operands[std::string(name) + ".scales"].As<float>()[0] = value;
  }
}

/// The operand as rows of K doubles, one for each row of a or column of b.
std::vector<double> RowsOfK(const ConstQuantizedView& x, bool k_is_first, std::int64_t k) {
  const std::int64_t rows = x.shape().elements() / k;
  std::vector<double> values(static_cast<std::size_t>(rows * k));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t i = 0; i < k; ++i) {
      values[static_cast<std::size_t>(row * k + i)] = k_is_first ? ValueAt(x, i, row) : ValueAt(x, row, i);
    }
  }
  return values;
}

ConstQuantizedView OperandOf(const Operands& operands, std::string_view name, const Format& format) {
  if (format.scaling == Scaling::kNone) return AsPlain(operands[name]);
  return operands.Quantized(name, format);
}

/// What is known of one element of a product.
struct ExactSum {
  double sum = 0.0;
  double magnitude = 0.0;  // of the products, added up
  double squares = 0.0;    // of the products, added up: the mean square of their sum if their signs are random
};

/// In lanes, which the compiler makes vectors of; loops over fewer it unrolls instead.
ExactSum SumOfProducts(const double* x, const double* y, std::int64_t count) {
  constexpr std::int64_t kLanes = 32;
  double sums[kLanes] = {};
  double magnitudes[kLanes] = {};
  double squares[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const double product = x[i + lane] * y[i + lane];
      sums[lane] += product;
      magnitudes[lane] += std::abs(product);
      squares[lane] += product * product;
    }
  }
  ExactSum total;
  for (; i < count; ++i) {
    const double product = x[i] * y[i];
    total.sum += product;
    total.magnitude += std::abs(product);
    total.squares += product * product;
  }
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    total.sum += sums[lane];
    total.magnitude += magnitudes[lane];
    total.squares += squares[lane];
  }
  return total;
}

/// The most that underflow may add to an element: every product, and the product of two scales where sums are
/// multiplied by it, may lose half of float32's smallest subnormal.
class Underflow {
 public:
  Underflow(const GemmSetup& setup, const Operands& operands, const Checker& checker)
      : of_products_(static_cast<double>(setup.k + 2) * kSmallest) {
    if (setup.a.scaling == Scaling::kNone) return;
    // Without tensor cores, scales of groups multiply codes.
    const bool has_tensor_cores = checker.device() == DeviceKind::kCuda && !checker.decodes_fp8();
    if (setup.a.scaling != Scaling::kTensor && !has_tensor_cores) return;
    of_scales_ = kSmallest / (SmallestOf(operands["a.scales"]) * SmallestOf(operands["b.scales"]));
  }

  /// For products whose magnitudes add up to `products`.
  double Bound(double products) const { return of_products_ + of_scales_ * products; }

 private:
  static constexpr double kSmallest = 0x1p-150;

  static double SmallestOf(ConstTensorView scales) {
    double smallest = ValueAt(scales, 0);
    for (std::int64_t i = 1; i < scales.elements(); ++i) smallest = std::min(smallest, ValueAt(scales, i));
    return smallest;
  }

  double of_products_;
  double of_scales_ = 0.0;
};

/// Products that FP8 tensor cores add up before the sum leaves them.
double AddedTogether(const GemmSetup& setup) {
  return static_cast<double>(setup.fast_accumulation ? setup.k : std::min<std::int64_t>(setup.k, 128));
}

/// What the sums of FP8 tensor cores may lose of products whose magnitudes add up to `magnitude`.
double TensorCoreBound(const GemmSetup& setup, double magnitude) {
  return (33.0 / 32.0 * AddedTogether(setup) + 1.0) * 0x1p-13 * magnitude;
}

/// The mean square of what a sum of products of random signs loses on FP8 tensor cores.
///
/// Each of the 33/32 R addends that a sum of R products has, and the sum that leaves, loses between nothing and 2^-13
/// of the largest that is added at once: a third of that square if all losses are as likely. Where magnitudes are cut,
/// the loss has the opposite sign of what it is cut from; with signs that are random it is as any other. The largest is
/// the sum so far or one of the 32 next products. The mean square of the sum so far is the sum of its products'
/// squares, so with those of the next 32 the largest's is at most the sum of all R squares. The losses of K / R such
/// sums add up to (33/32 R + 1) / 3 2^-26 times the sum of all squares.
double TensorCoreVariance(const GemmSetup& setup, double squares) {
  return (33.0 / 32.0 * AddedTogether(setup) + 1.0) / 3.0 * 0x1p-26 * squares;
}

/// What products lose where codes are multiplied by the scales of groups and rounded to bf16 before: each factor up to
/// 2^-8 of itself, two thirds of that square on average over both, or half of bf16's smallest subnormal. Codes with one
/// scale a tensor are exact in bf16.
class DecodedLoss {
 public:
  DecodedLoss(const GemmSetup& setup, const std::vector<double>& a, const std::vector<double>& b)
      : rounds_(setup.a.scaling != Scaling::kTensor), of_a_(Magnitudes(a, setup.k)), of_b_(Magnitudes(b, setup.k)) {}

  double Bound(std::int64_t row, std::int64_t column, double magnitude) const {
    if (!rounds_) return 0.0;
    constexpr double kHalfOfSmallest = 0x1p-134;
    return 0x1p-7 * (1.0 + 0x1p-9) * magnitude +
           kHalfOfSmallest * (of_a_[static_cast<std::size_t>(row)] + of_b_[static_cast<std::size_t>(column)]);
  }
  double Variance(double squares) const { return rounds_ ? 2.0 / 3.0 * 0x1p-16 * squares : 0.0; }

 private:
  /// Of each row of k, added up.
  static std::vector<double> Magnitudes(const std::vector<double>& x, std::int64_t k) {
    std::vector<double> sums(x.size() / static_cast<std::size_t>(k), 0.0);
    for (std::size_t i = 0; i < x.size(); ++i) sums[i / static_cast<std::size_t>(k)] += std::abs(x[i]);
    return sums;
  }

  bool rounds_;
  std::vector<double> of_a_, of_b_;
};

void CheckGemm(const GemmSetup& setup, const Operands& before, const Operands& after, Checker& checker) {
  const std::vector<double> a = RowsOfK(OperandOf(after, "a", setup.a), setup.layout == GemmLayout::kTN, setup.k);
  const std::vector<double> b = RowsOfK(OperandOf(after, "b", setup.b), setup.layout != GemmLayout::kNT, setup.k);
  const TensorView d = after["d"];
  const bool is_fp8_on_gpu = checker.device() == DeviceKind::kCuda && IsFp8(setup.a.dtype);
  const bool cut = is_fp8_on_gpu && !checker.decodes_fp8();
  const bool may_round_product = checker.device() == DeviceKind::kCuda && setup.accumulate && setup.d == DType::kBF16;
  const auto roundings = static_cast<double>(setup.k + 2);
  const Underflow underflow(setup, after, checker);
  const DecodedLoss decoded(setup, a, b);
  RandomErrors errors;
  // An odd step, so that rows of every place in a tile come up.
  const std::int64_t step = setup.perf ? 97 : 1;
  for (std::int64_t row = 0; row < setup.m; row += step) {
    for (std::int64_t column = 0; column < setup.n; ++column) {
      const ExactSum product = SumOfProducts(a.data() + row * setup.k, b.data() + column * setup.k, setup.k);
      const std::int64_t index = row * setup.n + column;
      const double added = setup.accumulate ? ValueAt(before["d"], index) : 0.0;
      const double sum = product.sum + added;
      const double got = ValueAt(d, index);
      if (!std::isfinite(sum)) {
        checker.True("what is not finite shows in d", !std::isfinite(got));
      } else if (setup.WholeNumbers()) {
        const double in_two_steps = RoundedTo(setup.d, RoundedTo(setup.d, product.sum) + added);
        checker.Near("d", index, got, may_round_product && got == in_two_steps ? got : RoundedTo(setup.d, sum), 0.0);
      } else {
        const double lost = underflow.Bound(product.magnitude);
        double error = roundings * kFloatRoundoff * (product.magnitude + std::abs(added)) + lost;
        if (is_fp8_on_gpu) {
          error += cut ? TensorCoreBound(setup, product.magnitude) : decoded.Bound(row, column, product.magnitude);
        }
        // An error of half an ulp may carry the sum to where ulps are twice as large.
        const double of_product = may_round_product ? HalfUlp(setup.d, std::abs(product.sum) + error) : 0.0;
        error += of_product;
        const double of_sum = HalfUlp(setup.d, may_round_product ? std::abs(sum) + error : sum);
        checker.Near("d", index, got, sum, error + of_sum);
        if (!is_fp8_on_gpu) continue;
        // In float32 a sum so far is rounded by up to 2^-24, a third of the square on average.
        const double in_float = roundings / 3.0 * kFloatRoundoff * kFloatRoundoff * (product.squares + added * added);
        const double rounded = cut ? TensorCoreVariance(setup, product.squares) : decoded.Variance(product.squares);
        const double subnormal = cut ? 0.0 : decoded.Bound(row, column, 0.0);
        errors.Add(got, sum,
                   rounded + in_float + lost * lost + subnormal * subnormal +
                       (of_product * of_product + of_sum * of_sum) / 3.0);
      }
    }
  }
  errors.Check("d", checker);
}

OpCase GemmCase(const GemmSetup& setup) {
  OpCase result;
  result.name = setup.Name();
  result.make = [setup](std::uint64_t seed) {
    Operands operands;
    AddOperand(operands, "a", setup.AShape(), setup.a, seed, setup.a_data);
    AddOperand(operands, "b", setup.BShape(), setup.b, seed, setup.b_data);
    Plant(setup.special, operands, "a", setup.a);
    const Shape shape = {setup.m, setup.n};
    if (setup.accumulate) {
      operands.InOut("d", shape, setup.d, seed, setup.WholeNumbers() ? Data::kIntegers : Data::kHeavyTails);
    } else {
      operands.Output("d", shape, setup.d);
    }
    return operands;
  };
  result.call = [setup](Context& ctx, const Operands& o) {
    Gemm(ctx, {.a = OperandOf(o, "a", setup.a),
               .b = OperandOf(o, "b", setup.b),
               .d = o["d"],
               .layout = setup.layout,
               .accumulate = setup.accumulate,
               .fast_accumulation = setup.fast_accumulation});
  };
  result.check = [setup](const Operands& before, const Operands& after, Checker& checker) {
    CheckGemm(setup, before, after, checker);
  };
  result.large = setup.m * setup.n * setup.k > 5000000 || setup.m * setup.n > 300000;
  if (setup.BeyondTensorCores()) result.beyond_tensor_cores = setup.a.scaling;
  if (setup.perf) {
    const auto elements = [](std::int64_t rows, std::int64_t columns) { return static_cast<double>(rows * columns); };
    result.flops = 2.0 * elements(setup.m, setup.n) * static_cast<double>(setup.k);
    result.bytes = elements(setup.m, setup.k) * static_cast<double>(SizeOf(setup.a.dtype)) +
                   elements(setup.n, setup.k) * static_cast<double>(SizeOf(setup.b.dtype)) +
                   elements(setup.m, setup.n) * static_cast<double>(SizeOf(setup.d) * (setup.accumulate ? 2 : 1));
  }
  return result;
}

/// A family of operand formats and the types of its result.
struct Row {
  Format a, b;
  std::vector<DType> d;
};

std::vector<Row> PlainRows() {
  const Format f32 = Format::Plain(DType::kF32);
  const Format bf16 = Format::Plain(DType::kBF16);
  return {{f32, f32, {DType::kF32}}, {bf16, bf16, {DType::kF32, DType::kBF16}}};
}

std::vector<Row> Fp8Rows() {
  std::vector<Row> rows;
  const std::vector<DType> both = {DType::kF32, DType::kBF16};
  for (const auto& [a, b] : {std::pair{DType::kE4M3, DType::kE4M3}, std::pair{DType::kE5M2, DType::kE4M3},
                             std::pair{DType::kE4M3, DType::kE5M2}}) {
    rows.push_back({Format::PerTensor(a), Format::PerTensor(b), both});
    const Format group = Format::PerGroup(a, 128, DType::kF32);
    rows.push_back({group, Format::PerBlock128(b), both});
    rows.push_back({group, Format::PerGroup(b, 128, DType::kF32), both});
  }
  return rows;
}

/// One element, one row, one column, and sizes around those of tiles (64 to 512) and of their depth (1024).
constexpr GemmShape kShapes[] = {{1, 1, 1},       {1, 1, 1025},    {1, 513, 7},    {513, 1, 7},    {1, 64, 1024},
                                 {63, 65, 127},   {64, 64, 64},    {65, 63, 1023}, {127, 129, 13}, {128, 128, 1024},
                                 {129, 127, 128}, {97, 101, 1025}, {511, 513, 17}, {512, 512, 2},  {513, 511, 19},
                                 {7, 11, 2049},   {2049, 2047, 3}, {1, 13, 4360},  {1, 1025, 2048}};

/// As above for formats whose K, and with blocks whose N, are multiples of 128.
constexpr GemmShape kShapesBy128[] = {{1, 128, 128},    {63, 128, 256},  {65, 256, 1024}, {129, 384, 128},
                                      {127, 128, 1152}, {513, 640, 128}, {9, 128, 2176}};

/// Sizes that FP8 tensor cores take: around those of their tiles (64 to 256), with many and with few rows.
constexpr GemmShape kTensorCoreShapes[] = {{1, 16, 16},     {17, 48, 80},    {64, 144, 272},  {250, 112, 1040},
                                           {256, 256, 256}, {333, 272, 464}, {1024, 32, 4112}};
constexpr GemmShape kTensorCoreShapesBy128[] = {{4, 128, 128},   {60, 256, 384},   {128, 128, 512},
                                                {132, 384, 640}, {256, 256, 1152}, {516, 128, 4224}};

void AddShapes(const Row& row, const std::vector<GemmLayout>& layouts, std::vector<OpCase>& cases) {
  const bool by_128 = row.a.scaling == Scaling::kGroup;
  std::vector<GemmShape> shapes(std::begin(kShapes), std::end(kShapes));
  if (by_128) shapes.assign(std::begin(kShapesBy128), std::end(kShapesBy128));
  for (const GemmShape& shape : shapes) {
    for (const DType d : row.d) {
      for (const GemmLayout layout : layouts) {
        for (const bool accumulate : {false, true}) {
          if (!accumulate && shape.m > 2000) continue;  // the largest one only once
          cases.push_back(GemmCase({.m = shape.m,
                                    .n = shape.n,
                                    .k = shape.k,
                                    .a = row.a,
                                    .b = row.b,
                                    .d = d,
                                    .layout = layout,
                                    .accumulate = accumulate}));
        }
      }
    }
  }
}

/// Every kind of data, whole numbers, and what is not finite, in one shape of several tiles.
void AddData(const Row& row, const std::vector<GemmLayout>& layouts, std::vector<OpCase>& cases) {
  const std::pair<Data, Data> kinds[] = {{Data::kHeavyTails, Data::kHeavyTails}, {Data::kOutliers, Data::kZeroGroups},
                                         {Data::kTiny, Data::kNormal},           {Data::kTiny, Data::kSmall},
                                         {Data::kHuge, Data::kNormal},           {Data::kTiny, Data::kHuge},
                                         {Data::kIntegers, Data::kIntegers}};
  for (const GemmLayout layout : layouts) {
    for (const DType d : row.d) {
      // Four rows at a time are what FP8 tensor cores take with scales of groups.
      const std::int64_t m = row.a.scaling == Scaling::kGroup ? 68 : 67;
      GemmSetup setup = {.m = m, .n = 128, .k = 1152, .a = row.a, .b = row.b, .d = d, .layout = layout};
      for (const auto& [a_data, b_data] : kinds) {
        setup.a_data = a_data;
        setup.b_data = b_data;
        setup.accumulate = false;
        cases.push_back(GemmCase(setup));
        setup.accumulate = true;
        cases.push_back(GemmCase(setup));
      }
      setup.a_data = setup.b_data = Data::kNormal;
      for (const Special special : {Special::kNaN, Special::kInfinity}) {
        setup.special = special;
        cases.push_back(GemmCase(setup));
      }
    }
  }
}

/// Products of FP8 operands, in shapes that tensor cores take; those with one scale a tensor with fast sums too.
void AddTensorCoreShapes(const Row& row, std::vector<OpCase>& cases) {
  const bool by_128 = row.a.scaling == Scaling::kGroup;
  std::vector<GemmShape> shapes(std::begin(kTensorCoreShapes), std::end(kTensorCoreShapes));
  if (by_128) shapes.assign(std::begin(kTensorCoreShapesBy128), std::end(kTensorCoreShapesBy128));
  for (const GemmShape& shape : shapes) {
    for (const DType d : row.d) {
      for (const bool accumulate : {false, true}) {
        for (const bool fast : {false, true}) {
          if (fast && by_128) continue;
          cases.push_back(GemmCase({.m = shape.m,
                                    .n = shape.n,
                                    .k = shape.k,
                                    .a = row.a,
                                    .b = row.b,
                                    .d = d,
                                    .accumulate = accumulate,
                                    .fast_accumulation = fast}));
        }
      }
    }
  }
}

/// The products of a linear layer of 256 by 1024 on 2048 tokens.
void AddPerfCases(std::vector<OpCase>& cases) {
  constexpr std::int64_t kTokens = 2048, kModel = 256, kHidden = 1024;
  const Format f32 = Format::Plain(DType::kF32);
  const Format bf16 = Format::Plain(DType::kBF16);
  const Format e4m3 = Format::PerTensor(DType::kE4M3);
  const Format e5m2 = Format::PerTensor(DType::kE5M2);
  const GemmSetup products[] = {
      {.m = kTokens, .n = kHidden, .k = kModel, .a = f32, .b = f32},
      {.m = kTokens, .n = kHidden, .k = kModel, .a = bf16, .b = bf16, .d = DType::kBF16},
      {.m = kTokens, .n = kModel, .k = kHidden, .a = bf16, .b = bf16, .d = DType::kBF16, .layout = GemmLayout::kNN},
      {.m = kHidden, .n = kModel, .k = kTokens, .a = bf16, .b = bf16, .layout = GemmLayout::kTN, .accumulate = true},
      {.m = kTokens, .n = kHidden, .k = kModel, .a = e4m3, .b = e4m3, .d = DType::kBF16},
      {.m = kTokens, .n = kModel, .k = kHidden, .a = e5m2, .b = e4m3, .d = DType::kBF16},
      {.m = kHidden, .n = kModel, .k = kTokens, .a = e5m2, .b = e4m3, .accumulate = true},
      {.m = kTokens,
       .n = kHidden,
       .k = kModel,
       .a = Format::PerGroup(DType::kE4M3, 128, DType::kF32),
       .b = Format::PerBlock128(DType::kE4M3),
       .d = DType::kBF16},
  };
  for (GemmSetup setup : products) {
    setup.perf = true;
    cases.push_back(GemmCase(setup));
  }
}

}  // namespace

std::vector<OpCase> GemmCases() {
  std::vector<OpCase> cases;
  const std::vector<GemmLayout> all = {GemmLayout::kNT, GemmLayout::kNN, GemmLayout::kTN};
  for (const Row& row : PlainRows()) {
    AddShapes(row, all, cases);
    AddData(row, all, cases);
  }
  for (const Row& row : Fp8Rows()) {
    AddShapes(row, {GemmLayout::kNT}, cases);
    AddTensorCoreShapes(row, cases);
    AddData(row, {GemmLayout::kNT}, cases);
  }
  AddPerfCases(cases);
  return cases;
}

}  // namespace coat
