"""What visitors find in the catalogue, and the staff in its admin."""

from shop.catalogue.models import Product
from shop.reviews.models import Review
from shop.testing import ShopTestCase, make_category, make_customer, make_product, make_staff


class CatalogueTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.kitchen, cls.garden = make_category("Kitchen"), make_category("Garden")
        cls.kettle = make_product("Kettle", "19.90", category=cls.kitchen)
        cls.pan = make_product("Pan", "35.00", category=cls.kitchen, description="Made of cast iron")
        cls.hose = make_product("Hose", "12.50", category=cls.garden)

    def names(self, path="/", **query):
        return [product.name for product in self.client.get(path, query).context["page_obj"]]

    def test_the_list_is_in_order_of_names(self):
        self.assertEqual(self.names(), ["Hose", "Kettle", "Pan"])

    def test_a_search_reads_names_and_descriptions_in_any_case(self):
        self.assertEqual(self.names(q="KETT"), ["Kettle"])
        self.assertEqual(self.names(q="cast IRON"), ["Pan"])
        self.assertEqual(self.names(q="teapot"), [])

    def test_a_search_takes_signs_as_they_are(self):
        make_product("100% cotton towel")
        self.assertEqual(self.names(q="0% C"), ["100% cotton towel"])
        self.assertEqual(self.names(q="%"), ["100% cotton towel"])
        self.assertEqual(self.names(q="_"), [])

    def test_a_category_has_its_own_products_only(self):
        self.assertEqual(self.names(self.garden.get_absolute_url()), ["Hose"])

    def test_there_is_no_page_of_an_unknown_category(self):
        self.assertEqual(self.client.get("/categories/toys/").status_code, 404)

    def test_visitors_sort_by_price(self):
        self.assertEqual(self.names(sort="-price"), ["Pan", "Kettle", "Hose"])

    def test_an_unknown_sort_is_passed_over(self):
        self.assertEqual(self.names(sort="stock; DROP"), ["Hose", "Kettle", "Pan"])

    def test_the_second_page_keeps_search_and_sort(self):
        for number in range(13):
            make_product(f"Cup {number:02}", str(number + 1))
        first = self.client.get("/", {"q": "cup", "sort": "-price"})
        self.assertContains(first, "?q=cup&amp;sort=-price&amp;page=2")
        self.assertEqual(self.names(q="cup", sort="-price", page=2), ["Cup 00"])

    def test_a_product_that_is_off_sale_is_gone_from_the_list_and_has_no_page(self):
        Product.objects.filter(pk=self.kettle.pk).update(on_sale=False)
        self.assertEqual(self.names(), ["Hose", "Pan"])
        self.assertEqual(self.client.get(self.kettle.get_absolute_url()).status_code, 404)

    def test_a_product_outlives_its_category(self):
        self.kitchen.delete()
        self.assertContains(self.client.get(self.kettle.get_absolute_url()), "19.90 €")
        self.assertIsNone(Product.objects.get(pk=self.kettle.pk).category)

    def test_a_page_tells_category_price_and_stock(self):
        page = self.client.get(self.pan.get_absolute_url())
        for text in ("Kitchen", "35.00 €", "10 in stock", "Made of cast iron"):
            self.assertContains(page, text)

    def test_what_is_sold_out_cannot_be_put_into_the_cart(self):
        Product.objects.filter(pk=self.pan.pk).update(stock=0)
        page = self.client.get(self.pan.get_absolute_url())
        self.assertContains(page, "sold out")
        self.assertNotContains(page, "Add to cart")

    def test_the_average_is_of_published_reviews(self):
        for name, stars, published in (("Ann Able", 5, True), ("Bob Baker", 2, True), ("Cy Cole", 1, False)):
            customer = make_customer(name)
            Review.objects.create(product=self.pan, customer=customer, author=name, stars=stars, published=published)
        page = self.client.get(self.pan.get_absolute_url())
        self.assertContains(page, "<strong>3.5</strong> of 5 stars in 2 reviews")
        self.assertNotContains(page, "Cy Cole")


class StockTests(ShopTestCase):
    def test_stock_never_falls_below_zero(self):
        kettle = make_product(stock=2)
        self.assertFalse(kettle.change_stock(-3))
        self.assertTrue(kettle.change_stock(-2))
        self.assertEqual(Product.objects.get(pk=kettle.pk).stock, 0)

    def test_two_who_saw_the_same_stock_both_take_from_it(self):
        kettle = make_product(stock=3)
        ann, bob = Product.objects.get(pk=kettle.pk), Product.objects.get(pk=kettle.pk)
        self.assertTrue(ann.change_stock(-2))
        self.assertFalse(bob.change_stock(-2))
        self.assertTrue(bob.change_stock(-1))
        self.assertEqual(Product.objects.get(pk=kettle.pk).stock, 0)


class AdminTests(ShopTestCase):
    @classmethod
    def setUpTestData(cls):
        cls.staff = make_staff()
        cls.kitchen = make_category("Kitchen")
        cls.kettle = make_product("Kettle", category=cls.kitchen)
        cls.hose = make_product("Hose")

    def setUp(self):
        self.client.force_login(self.staff)

    def test_the_staff_search_by_name_and_by_category(self):
        for text in ("kettle", "kitchen"):
            page = self.client.get("/admin/catalogue/product/", {"q": text})
            self.assertEqual([product.name for product in page.context["cl"].result_list], ["Kettle"])

    def test_the_staff_filter_by_category(self):
        page = self.client.get("/admin/catalogue/product/", {"category__id__exact": self.kitchen.pk})
        self.assertEqual([product.name for product in page.context["cl"].result_list], ["Kettle"])

    def test_the_staff_take_products_off_sale_together(self):
        chosen = {"action": "withdraw", "_selected_action": [self.kettle.pk]}
        page = self.client.post("/admin/catalogue/product/", chosen, follow=True)
        self.assertContains(page, "1 taken off sale.")
        on_sale = dict(Product.objects.values_list("name", "on_sale"))
        self.assertEqual(on_sale, {"Kettle": False, "Hose": True})

    def test_the_staff_change_stock_in_the_list(self):
        page = self.client.get("/admin/catalogue/product/")
        form = page.context["cl"].formset
        values = {f"{one.prefix}-id": one.instance.pk for one in form.forms}
        values |= {f"{one.prefix}-stock": 10 + one.instance.pk for one in form.forms}
        values |= {f"{form.prefix}-{name}": value for name, value in form.management_form.initial.items()}
        self.client.post("/admin/catalogue/product/", values | {"_save": "Save"})
        self.assertEqual(Product.objects.get(pk=self.hose.pk).stock, 10 + self.hose.pk)

    def test_a_second_category_of_a_name_is_refused(self):
        page = self.client.post("/admin/catalogue/category/add/", {"name": "Kitchen", "slug": "kitchen-2"})
        self.assertContains(page, "Category with this Name already exists.")

    def test_the_staff_are_told_what_goes_with_a_product_that_they_delete(self):
        ann = make_customer()
        Review.objects.create(product=self.kettle, customer=ann, author=ann.name, stars=4)
        path = f"/admin/catalogue/product/{self.kettle.pk}/delete/"
        self.assertContains(self.client.get(path), "4 stars by Ann Able")
        self.client.post(path, {"post": "yes"})
        self.assertFalse(Product.objects.filter(pk=self.kettle.pk).exists())
        self.assertFalse(Review.objects.exists())
